package oci

import (
	"context"
	"encoding/hex"
	"fmt"
	"hash"
	"io"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"k0rdent-airgap/lib/ref"
)

// Verify returns a reader of the blob's size bytes from r that hashes them as
// they pass. If they do not match digest (or are too few), it withholds the
// last of them and returns ErrDigest (or ErrTruncated) instead, so that a
// consumer that expects size bytes never gets them all. A negative size is
// ErrInvalid. The digest's algorithm must be sha256 or sha512, as v1.NewHash
// ensures.
func Verify(r io.Reader, digest v1.Hash, size int64) io.Reader {
	return newVerifier(context.Background(), r, digest, size)
}

type verifier struct {
	ctx  context.Context
	r    io.Reader
	want v1.Hash
	hash hash.Hash
	left int64
	err  error // the error of every later Read
}

func newVerifier(ctx context.Context, r io.Reader, want v1.Hash, size int64) *verifier {
	v := &verifier{ctx: ctx, r: r, want: want, hash: ref.NewHash(want.Algorithm), left: size}
	if size < 0 { // possible in a registry's descriptor
		v.err = invalid("blob %v has size %d", want, size)
	}
	return v
}

func (v *verifier) Read(p []byte) (int, error) {
	if v.err != nil {
		return 0, v.err
	}
	if v.left == 0 {
		v.err = v.check()
		return 0, v.err
	}
	if v.err = context.Cause(v.ctx); v.err != nil {
		return 0, v.err
	}
	n, err := v.r.Read(p[:min(int64(len(p)), v.left)])
	v.hash.Write(p[:n])
	v.left -= int64(n)
	switch {
	case v.left == 0:
		if v.err = v.check(); v.err != io.EOF {
			return 0, v.err
		}
	case err == io.EOF || err == io.ErrUnexpectedEOF:
		v.err = fmt.Errorf("blob %v: %w", v.want, ErrTruncated)
		return 0, v.err
	case err != nil:
		v.err = err
		return n, err
	}
	return n, nil
}

// check returns io.EOF if the bytes match the digest.
func (v *verifier) check() error {
	if got := hex.EncodeToString(v.hash.Sum(nil)); got != v.want.Hex {
		return fmt.Errorf("blob %v: %w: content is %s:%s", v.want, ErrDigest, v.want.Algorithm, got)
	}
	return io.EOF
}
