package oci

import (
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
	section := io.NewSectionReader(at, 0, size)
	m := newMembers(section) // which skips blobs by seeking
	a := m.archive
	a.at = at
	for {
		digest, length, err := m.next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
		if digest == (v1.Hash{}) {
			continue
		}
		offset, err := section.Seek(0, io.SeekCurrent)
		if err != nil {
			return nil, err
		}
		if offset+length > size {
			return nil, tarError(io.ErrUnexpectedEOF)
		}
		a.offsets[digest] = offset
	}
	if err := m.finish(); err != nil {
		return nil, err
	}
	a.Images() // holds the JSON; callers of Images get its error
	return a, nil
}

// load returns a JSON blob, or nil if the archive lacks it.
func (a *Archive) load(desc v1.Descriptor, _ bool) ([]byte, error) {
	d := desc.Digest
	raw, held := a.JSON[d]
	size, present := a.Sizes[d]
	if held || !present {
		return raw, nil
	}
	if size > maxJSON {
		return nil, tooLarge(d, size)
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

func tooLarge(d v1.Hash, size int64) error {
	return invalid("blob %v is %d bytes, too large for a manifest or a config", d, size)
}
