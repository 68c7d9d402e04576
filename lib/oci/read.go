package oci

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// A Blob is one blob as it streams by. Its Reader returns an error in place of
// the last bytes if the content does not match the digest (see Verify).
type Blob struct {
	Digest v1.Hash
	Size   int64
	io.Reader
}

// Load reads an archive the cheaper way: with Open if at is not nil and the
// archive is not compressed, otherwise with Read, from at or from r.
func Load(ctx context.Context, at io.ReaderAt, size int64, r io.Reader, blob func(Blob) error) (*Archive, error) {
	if at == nil {
		return Read(ctx, r, blob)
	}
	packed, err := Packed(at, size)
	switch {
	case err != nil:
		return nil, err
	case packed:
		return Read(ctx, io.NewSectionReader(at, 0, size), blob)
	}
	return Open(at, size)
}

// Read reads an archive from r to its end, and inflates one that is compressed
// with gzip or zstd. Each blob that does not look like JSON, or is too large to
// hold, is passed to blob, if that is not nil, which may read all of it, part
// of it or nothing, but not after it has returned; an error from it ends Read.
// Whatever it leaves unread is still read and checked.
//
// If content does not match its digest, Read returns ErrDigest once it has read
// the whole archive. Errors of r itself are returned as they are; those of the
// archive are this package's Err values.
func Read(ctx context.Context, r io.Reader, blob func(Blob) error) (*Archive, error) {
	content, err := inflate(r)
	if err != nil {
		return nil, err
	}
	defer content.close()
	s := &stream{members: newMembers(content), ctx: ctx, blob: blob, passed: map[v1.Hash]bool{}}
	for {
		if err := context.Cause(ctx); err != nil {
			return nil, err
		}
		digest, size, err := s.next()
		if err == nil && digest != (v1.Hash{}) {
			err = s.passBlob(digest, size)
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
	}
	if err := s.finish(); err != nil {
		return nil, err
	}
	if content.packed != "" { // its checksum is at the end
		if err := s.drain(content); err != nil {
			return nil, tarError(err)
		}
	}
	if len(s.wrong) > 0 {
		return nil, errors.Join(s.wrong...)
	}
	return s.archive, nil
}

// stream is the state of one Read.
type stream struct {
	*members
	ctx    context.Context
	blob   func(Blob) error
	passed map[v1.Hash]bool // blobs that were passed on
	wrong  []error          // errors for blobs that do not match their digests, at most maxWrong
	buf    []byte           // for draining
}

// maxWrong is how many wrong blobs are reported per archive.
const maxWrong = 10

// passBlob holds a blob or passes it on, and checks it either way.
func (s *stream) passBlob(digest v1.Hash, size int64) error {
	head := make([]byte, min(size, sniffLen))
	if _, err := io.ReadFull(s.tar, head); err != nil {
		return tarError(err)
	}
	v := newVerifier(s.ctx, io.MultiReader(bytes.NewReader(head), s.tar), digest, size)
	a := s.archive
	if looksJSON(head) && a.mayHold(size) {
		raw, err := readAll(v, size)
		if err != nil {
			return s.note(err)
		}
		if a.JSON[digest] == nil {
			a.JSON[digest], a.held = raw, a.held+size
		}
		return nil
	}
	if again := s.passed[digest]; s.blob != nil && !again {
		s.passed[digest] = true
		if err := s.blob(Blob{Digest: digest, Size: size, Reader: v}); err != nil {
			return err
		}
	}
	err := s.drain(v)
	v.err = errLate
	return s.note(err)
}

// mayHold reports whether there is room to hold a JSON blob that may not be a
// manifest.
func (a *Archive) mayHold(size int64) bool {
	if a.held > maxHeld/2 {
		return size <= smallJSON && a.held+size <= maxHeld
	}
	return size <= maxJSON
}

var errLate = errors.New("oci: the blob has passed")

// note keeps a wrong digest for the end, so that one run reports all of them.
func (s *stream) note(err error) error {
	if !errors.Is(err, ErrDigest) {
		return err
	}
	if len(s.wrong) < maxWrong {
		s.wrong = append(s.wrong, err)
	}
	return nil
}

// drain reads to the end, in larger steps than io.Discard would.
func (s *stream) drain(r io.Reader) error {
	if s.buf == nil {
		s.buf = make([]byte, 128<<10)
	}
	for {
		if _, err := r.Read(s.buf); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// readSmall reads one of the layout's own files.
func readSmall(r io.Reader, name string, size int64) ([]byte, error) {
	if size > maxJSON {
		return nil, invalid("%s is %d bytes, more than %d", name, size, maxJSON)
	}
	raw, err := readAll(r, size)
	return raw, tarError(err)
}

// readAll reads size bytes, which the caller has bounded, and then the end of
// r.
func readAll(r io.Reader, size int64) ([]byte, error) {
	raw := make([]byte, size)
	if _, err := io.ReadFull(r, raw); err != nil {
		return nil, err
	}
	if _, err := r.Read(make([]byte, 1)); err != nil && err != io.EOF {
		return nil, err // an empty blob with a wrong name
	}
	return raw, nil
}

// tarError classifies an error of the tar reader: io.EOF is the end, and an
// error of the reader below is returned as it is.
func tarError(err error) error {
	switch err {
	case io.ErrUnexpectedEOF:
		return fmt.Errorf("%w: the tar ends in the middle of a member", ErrTruncated)
	case tar.ErrHeader:
		return invalid("broken tar header")
	}
	return err
}
