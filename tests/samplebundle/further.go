package samplebundle

import (
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
)

// rename changes the name of an archive of another bundle to the vendor's: the reference
// with "&" for "/" and "@" for ":", in a directory for its kind. The guide for
// Ceph cuts the first two parts off again.
func (b *builder) rename(e *Entry, p product) {
	dir := "images"
	if p.kind == "chart" {
		dir = "charts"
	}
	e.Path = "bundle/" + dir + "/" + strings.ReplaceAll(p.path, "/", "&") + "@" + p.tag + ".tar"
	if b.Bundle == Ceph {
		e.Repository = strings.SplitN(p.path, "/", 3)[2]
	}
}

// leastFile is the size of a file without weight, in bytes.
const leastFile = 1000

// file makes a file for an HTTP server, of noise: kernels and disk images are
// compressed.
func (b *builder) file(p product, _ int) (*archive, error) {
	size := max(int64(p.weight*b.scale), leastFile)
	seed := sha256.Sum256(fmt.Appendf(nil, "%d %s", b.Seed, p.path))
	write := func(w io.Writer) error {
		_, err := io.CopyN(w, rand.NewChaCha8(seed), size)
		return err
	}
	h := sha256.New()
	if err := write(h); err != nil {
		return nil, err
	}
	return &archive{raw: &member{size: size, write: write}, entry: Entry{
		Path: "bundle/bins/" + strings.ReplaceAll(p.path, "/", "&"), Kind: KindFile, Name: p.path, Digest: fmt.Sprintf("sha256:%x", h.Sum(nil)),
	}}, nil
}
