package registry

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"iter"

	"k0rdent-airgap/lib/ref"
)

// change is a line of a journal.
type change struct {
	Put    *Descriptor `json:"put"`
	Tags   []string    `json:"tags"` // that point at Put
	Untag  string      `json:"untag"`
	Remove Digest      `json:"remove"`
}

// valid reports whether a change can be applied.
func (c change) valid() bool {
	digests, tags := []Digest{c.Remove}, append([]string{c.Untag}, c.Tags...)
	if c.Put != nil {
		digests = append(digests, c.Put.Digest)
	}
	for i, digest := range digests {
		if _, err := ParseDigest(string(digest)); err != nil && (i > 0 || digest != "") {
			return false
		}
	}
	for i, tag := range tags {
		if ref.CheckTag(tag) != nil && (i > 0 || tag != "") {
			return false
		}
	}
	return true
}

// indexEntry is an entry of an index.json.
type indexEntry struct {
	Descriptor
	tags []string // at most one
}

// indexEntries returns the entries of an index.json, and an error if it is damaged.
// It skips digests of unknown algorithms and ignores references that are not tags.
func indexEntries(r io.Reader) iter.Seq2[indexEntry, error] {
	return func(yield func(indexEntry, error) bool) {
		dec := json.NewDecoder(bufio.NewReader(r))
		err := expect(dec, json.Delim('{'))
		for err == nil && dec.More() {
			var key json.Token
			if key, err = dec.Token(); err != nil {
				break
			}
			if key != "manifests" {
				err = dec.Decode(new(json.RawMessage))
				continue
			}
			err = expect(dec, json.Delim('['))
			for err == nil && dec.More() {
				var e indexEntry
				if err = dec.Decode(&e.Descriptor); err != nil {
					break
				}
				if _, err := ParseDigest(string(e.Digest)); err != nil {
					continue
				}
				if tag := e.Annotations[annotationTag]; ref.CheckTag(tag) == nil {
					e.tags = []string{tag}
				}
				if !yield(e, nil) {
					return
				}
			}
			if err == nil {
				err = expect(dec, json.Delim(']'))
			}
		}
		if err == nil {
			err = expect(dec, json.Delim('}'))
		}
		if err != nil {
			yield(indexEntry{}, err)
		}
	}
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
