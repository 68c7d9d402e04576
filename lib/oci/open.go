package oci

import (
	"archive/tar"
	"io"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Open reads a seekable archive of size bytes: its tar headers, its index.json
// and the JSON that leads from there to every image. A compressed archive is
// ErrNotArchive: see Load. Payloads are neither read nor checked; Blob gives
// access to them. The archive may be used as long as at can be read, by any
// number of goroutines.
//
// Errors are as with Read.
func Open(at io.ReaderAt, size int64) (*Archive, error) {
	head := make([]byte, sniffLen)
	n, err := at.ReadAt(head, 0)
	if err != nil && err != io.EOF {
		return nil, err
	}
	if err := sniff(head[:min(int64(n), size)]); err != nil {
		return nil, err
	}
	a := newArchive()
	a.at = at
	section := io.NewSectionReader(at, 0, size)
	m := members{seen: map[string]bool{}, blobs: a.Sizes}
	if err := a.scan(section, &m); err != nil {
		return nil, err
	}
	if err := m.finish(a); err != nil {
		return nil, err
	}
	a.Images() // holds the JSON; callers of Images get its error
	return a, nil
}

// scan reads the tar's headers. The tar reader skips payloads by seeking.
func (a *Archive) scan(section *io.SectionReader, m *members) error {
	t := tar.NewReader(section)
	for {
		h, err := t.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return tarError(err)
		}
		name, digest, err := m.take(h)
		if err != nil {
			return err
		}
		switch {
		case digest != v1.Hash{}:
			offset, err := section.Seek(0, io.SeekCurrent)
			if err != nil {
				return err
			}
			if offset+h.Size > section.Size() {
				return tarError(io.ErrUnexpectedEOF)
			}
			a.offsets[digest] = offset
		case name == indexFile:
			a.Index, err = readSmall(t, name, h.Size)
		case name == layoutFile:
			m.layout, err = readSmall(t, name, h.Size)
		}
		if err != nil {
			return err
		}
	}
}

// load returns a JSON blob, or nil if the archive lacks it.
func (a *Archive) load(desc v1.Descriptor, manifest bool) ([]byte, error) {
	if a.fetch != nil {
		return a.fetchJSON(desc, manifest)
	}
	d := desc.Digest
	raw, held := a.JSON[d]
	size, present := a.Sizes[d]
	if held || !present {
		return raw, nil
	}
	if size > maxJSON {
		return nil, invalid("blob %v is %d bytes, too large for a manifest or a config", d, size)
	}
	if a.held+size > maxHeld {
		return nil, invalid("more than %d MiB of JSON", maxHeld>>20)
	}
	section, ok := a.Blob(d)
	if !ok {
		return nil, invalid("blob %v is used as a manifest or a config, but is not JSON", d)
	}
	raw, err := readAll(Verify(section, d, size), size)
	if err != nil {
		return nil, err
	}
	a.JSON[d], a.held = raw, a.held+size
	return raw, nil
}
