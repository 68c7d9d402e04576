package client

import (
	"context"
	"io"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Blob reads the content of a blob in the registry, from its first byte unless
// Seek says otherwise. If the connection breaks, it resumes where it broke. The
// content is not checked: wrap it in oci.Verify, or compare the digest
// elsewhere. It must be used by one goroutine at a time.
type Blob struct {
	ctx        context.Context
	reg        *Registry
	repository string
	digest     v1.Hash

	r      io.ReadCloser
	offset int64
	ended  bool   // the last byte has been read
	tries  *tries // since the last byte
}

// Blob returns a reader of a blob in a repository; the first Read sends the
// first request. The error for a blob that does not exist is ErrNotFound.
func (r *Registry) Blob(ctx context.Context, repository string, d v1.Hash) *Blob {
	return &Blob{ctx: ctx, reg: r, repository: repository, digest: d, tries: r.tries()}
}

func (b *Blob) Read(p []byte) (int, error) {
	for {
		n, err := b.read(p)
		if n > 0 {
			b.offset += int64(n)
			b.tries = b.reg.tries()
			return n, nil
		}
		if err == nil || err == io.EOF {
			return 0, err
		}
		if !temporary(err) || b.ctx.Err() != nil {
			return 0, b.reg.explain(err)
		}
		if err := b.tries.pause(b.ctx, err); err != nil {
			return 0, err
		}
	}
}

func (b *Blob) read(p []byte) (n int, err error) {
	if b.ended {
		return 0, io.EOF
	}
	if b.r == nil {
		if b.r, err = b.reg.getBlob(b.ctx, b.repository, b.digest, b.offset); err != nil {
			return 0, err
		}
	}
	if n, err = b.r.Read(p); err != nil {
		b.Close()
		b.ended = err == io.EOF
	}
	return n, err
}

// Seek makes the next Read begin at an offset from the start; whence must be
// io.SeekStart, since the size is not known.
func (b *Blob) Seek(offset int64, whence int) (int64, error) {
	if whence != io.SeekStart || offset < 0 {
		return b.offset, errWhence
	}
	if offset != b.offset {
		b.Close()
		b.offset, b.ended = offset, false
	}
	return offset, nil
}

// Close releases the connection. Reading may continue on a new one.
func (b *Blob) Close() error {
	if b.r != nil {
		b.r.Close()
		b.r = nil
	}
	return nil
}
