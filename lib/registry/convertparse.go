package registry

import (
	"bufio"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
)

// change is a line of a journal.
type change struct {
	Put    *Descriptor `json:"put"`
	Tags   []string    `json:"tags"` // to point at Put
	Untag  string      `json:"untag"`
	Remove Digest      `json:"remove"`
}

// replay applies a repository's journal. It stops at a line that a crash cut
// short: nobody was told of that.
func (c converter) replay() error {
	f, err := c.d.tree.root.Open(path.Join(journalsDir, fmt.Sprintf("%x", sha256.Sum256([]byte(c.name)))))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	in := bufio.NewReaderSize(f, maxChange)
	for {
		line, err := in.ReadSlice('\n')
		if err == io.EOF || err == bufio.ErrBufferFull {
			return nil
		}
		if err != nil {
			return err
		}
		var change change
		if json.Unmarshal(line, &change) != nil || !change.valid() {
			return nil
		}
		if err := c.apply(change); err != nil {
			return err
		}
	}
}

// valid reports whether a change can be applied.
func (c change) valid() bool {
	if c.Put != nil {
		if _, err := ParseDigest(string(c.Put.Digest)); err != nil {
			return false
		}
	}
	for _, tag := range c.Tags {
		if !ValidTag(tag) {
			return false
		}
	}
	_, err := ParseDigest(string(c.Remove))
	return (c.Untag == "" || ValidTag(c.Untag)) && (c.Remove == "" || err == nil)
}

func (c converter) apply(change change) error {
	if change.Put != nil {
		if err := c.put(*change.Put, change.Tags...); err != nil {
			return err
		}
	}
	if change.Untag != "" {
		if err := c.d.tree.remove(tagPath(c.name, change.Untag)); err != nil {
			return err
		}
	}
	if change.Remove == "" {
		return nil
	}
	for more := true; more; {
		var tags []string
		var err error
		if tags, more, err = c.d.tagsOf(c.name, change.Remove, ""); err != nil {
			return err
		}
		for _, tag := range tags {
			if err := c.d.tree.remove(tagPath(c.name, tag)); err != nil {
				return err
			}
		}
	}
	return c.d.tree.remove(manifestPath(c.name, change.Remove))
}

// parseIndex calls put for each entry of an index.json. Entries of other
// programs are understood; what a registry could not serve (an unknown digest
// algorithm) is passed over, and a reference that is no tag counts as none.
func parseIndex(r io.Reader, put func(Descriptor, ...string) error) error {
	dec := json.NewDecoder(bufio.NewReader(r))
	if err := expect(dec, json.Delim('{')); err != nil {
		return err
	}
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return err
		}
		if key == "manifests" {
			err = parseEntries(dec, put)
		} else {
			err = dec.Decode(new(json.RawMessage))
		}
		if err != nil {
			return err
		}
	}
	return expect(dec, json.Delim('}'))
}

func parseEntries(dec *json.Decoder, put func(Descriptor, ...string) error) error {
	if err := expect(dec, json.Delim('[')); err != nil {
		return err
	}
	for dec.More() {
		var e Descriptor
		if err := dec.Decode(&e); err != nil {
			return err
		}
		if _, err := ParseDigest(string(e.Digest)); err != nil {
			continue
		}
		var tags []string
		if tag := e.Annotations[annotationTag]; ValidTag(tag) {
			tags = []string{tag}
		}
		if err := put(e, tags...); err != nil {
			return err
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
