package registry

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
)

// Annotations of index.json's entries.
const (
	// annotationTag holds the tag (image-spec, annotations).
	annotationTag = "org.opencontainers.image.ref.name"
	// annotationSubject is this program's own: it repeats the digest of the
	// manifest's subject, so that referrers are found without reading every
	// manifest of the repository.
	annotationSubject = "io.k0rdent.airgap.subject"
)

// index is what a repository's index.json says: its manifests and its tags. A
// digest that it lists is a manifest of the repository, any other file of the
// layout is a blob only.
type index struct {
	manifests map[Digest]*listed
	tags      map[string]Digest   // each is a key of manifests
	names     []string            // the keys of tags, sorted
	referrers map[Digest][]Digest // by subject, sorted
}

// listed is a manifest in an index.
type listed struct {
	mediaType string
	size      int64
	subject   Digest // "" for none
	tagged    int    // number of tags that point at it
}

func newIndex() *index {
	return &index{
		manifests: make(map[Digest]*listed),
		tags:      make(map[string]Digest),
		referrers: make(map[Digest][]Digest),
	}
}

// cost estimates the memory that an index takes, in bytes.
func (ix *index) cost() int {
	return 500 + 350*len(ix.manifests) + 120*len(ix.tags) + 150*len(ix.referrers)
}

// put adds a manifest, untagged. One that is there gets the media type: its
// bytes need not say it, and the last push counts.
func (ix *index) put(d Digest, mediaType string, size int64, subject Digest) {
	if m := ix.manifests[d]; m != nil {
		m.mediaType = mediaType
		return
	}
	ix.manifests[d] = &listed{mediaType: mediaType, size: size, subject: subject}
	if subject != "" {
		ix.referrers[subject] = insert(ix.referrers[subject], d)
	}
}

// putEntry adds a manifest from its descriptor in index.json or in a journal.
func (ix *index) putEntry(e Descriptor) {
	subject, err := ParseDigest(e.Annotations[annotationSubject])
	if err != nil {
		subject = ""
	}
	ix.put(e.Digest, e.MediaType, e.Size, subject)
}

// tag points a tag at a manifest of the index.
func (ix *index) tag(name string, d Digest) {
	if old, ok := ix.tags[name]; ok {
		ix.manifests[old].tagged--
	} else {
		ix.names = insert(ix.names, name)
	}
	ix.tags[name] = d
	ix.manifests[d].tagged++
}

// untag takes a tag away; its manifest stays.
func (ix *index) untag(name string) {
	ix.manifests[ix.tags[name]].tagged--
	delete(ix.tags, name)
	ix.names = without(ix.names, name)
}

// remove takes a manifest and its tags away.
func (ix *index) remove(d Digest) {
	m := ix.manifests[d]
	if m.tagged > 0 {
		maps.DeleteFunc(ix.tags, func(_ string, to Digest) bool { return to == d })
		ix.names = slices.DeleteFunc(ix.names, func(name string) bool { _, ok := ix.tags[name]; return !ok })
	}
	delete(ix.manifests, d)
	if m.subject == "" {
		return
	}
	if rest := without(ix.referrers[m.subject], d); len(rest) > 0 {
		ix.referrers[m.subject] = rest
	} else {
		delete(ix.referrers, m.subject)
	}
}

// after gives up to limit tags that follow last, in a slice of their own.
func (ix *index) after(last string, limit int) (tags []string, more bool) {
	return page(ix.names, last, limit)
}

// page gives up to limit (noLimit: all) items of a sorted list that follow
// last, and whether there are more.
func page[S ~string](sorted []S, last S, limit int) (items []S, more bool) {
	start, found := slices.BinarySearch(sorted, last)
	if found {
		start++
	}
	rest := sorted[start:]
	if limit != noLimit && limit < len(rest) {
		return slices.Clone(rest[:limit]), true
	}
	return slices.Clone(rest), false
}

func insert[S ~string](sorted []S, item S) []S {
	at, found := slices.BinarySearch(sorted, item)
	if found {
		return sorted
	}
	return slices.Insert(sorted, at, item)
}

func without[S ~string](sorted []S, item S) []S {
	if at, found := slices.BinarySearch(sorted, item); found {
		return slices.Delete(sorted, at, at+1)
	}
	return sorted
}

// write writes index.json: an entry for each tag, and one for each manifest
// without a tag.
func (ix *index) write(w io.Writer) error {
	out := bufio.NewWriterSize(w, 64<<10)
	out.WriteString(`{"schemaVersion":2,"mediaType":"` + mediaTypeIndex + `","manifests":[`)
	separator := "\n"
	var line []byte
	entry := func(d Digest, tag string) {
		line = append(line[:0], separator...)
		line = ix.manifests[d].appendEntry(line, d, tag)
		out.Write(line)
		separator = ",\n"
	}
	for _, name := range ix.names {
		entry(ix.tags[name], name)
	}
	var untagged []Digest
	for d, m := range ix.manifests {
		if m.tagged == 0 {
			untagged = append(untagged, d)
		}
	}
	slices.Sort(untagged)
	for _, d := range untagged {
		entry(d, "")
	}
	out.WriteString("\n]}\n")
	return out.Flush()
}

// appendEntry appends a descriptor in JSON. Media types are quoted; digests
// and tags hold nothing that JSON would escape.
func (m *listed) appendEntry(b []byte, d Digest, tag string) []byte {
	mediaType, _ := json.Marshal(m.mediaType) // strings always encode
	b = append(append(b, `{"mediaType":`...), mediaType...)
	b = append(append(b, `,"digest":"`...), d...)
	b = strconv.AppendInt(append(b, `","size":`...), m.size, 10)
	if tag != "" || m.subject != "" {
		b = append(b, `,"annotations":{`...)
		if tag != "" {
			b = append(append(append(b, `"`+annotationTag+`":"`...), tag...), '"')
		}
		if tag != "" && m.subject != "" {
			b = append(b, ',')
		}
		if m.subject != "" {
			b = append(append(append(b, `"`+annotationSubject+`":"`...), m.subject...), '"')
		}
		b = append(b, '}')
	}
	return append(b, '}')
}

// parseIndex reads an index.json entry by entry. Entries of other tools are
// understood; what a registry could not serve (an unknown digest algorithm) is
// passed over, and a reference that is no tag counts as none.
func parseIndex(r io.Reader) (*index, error) {
	dec := json.NewDecoder(bufio.NewReader(r))
	ix := newIndex()
	if err := expect(dec, json.Delim('{')); err != nil {
		return nil, err
	}
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return nil, err
		}
		if key == "manifests" {
			err = ix.parseEntries(dec)
		} else {
			err = dec.Decode(new(json.RawMessage))
		}
		if err != nil {
			return nil, err
		}
	}
	return ix, expect(dec, json.Delim('}'))
}

func (ix *index) parseEntries(dec *json.Decoder) error {
	if err := expect(dec, json.Delim('[')); err != nil {
		return err
	}
	types := make(map[string]string) // one copy of each media type
	for dec.More() {
		var e Descriptor
		if err := dec.Decode(&e); err != nil {
			return err
		}
		if _, err := ParseDigest(string(e.Digest)); err != nil {
			continue
		}
		if _, ok := types[e.MediaType]; !ok {
			types[e.MediaType] = e.MediaType
		}
		e.MediaType = types[e.MediaType]
		ix.putEntry(e)
		if tag := e.Annotations[annotationTag]; ValidTag(tag) {
			ix.tag(tag, e.Digest)
		}
	}
	return expect(dec, json.Delim(']'))
}

func expect(dec *json.Decoder, want json.Delim) error {
	got, err := dec.Token()
	if err == nil && got != want {
		err = fmt.Errorf("want %v, got %v", want, got)
	}
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return err
}
