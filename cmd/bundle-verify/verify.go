package main

import (
	"bytes"
	"context"
	"crypto"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"

	"k0rdent-airgap/lib/bundle"
	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/record"
)

// A verifier verifies one file.
type verifier struct {
	cfg      *config
	progress *cli.Progress
	log      *slog.Logger
}

// A claim is a signature with the key that it is to be of.
type claim struct {
	path      string // of the signature, absolute
	signature *signature
	key       *key
	schemes   []scheme
}

// verify reads the file and gives its record. With a record comes an error if
// the file is not what it should be; without one, if that cannot be told.
func (v *verifier) verify(ctx context.Context, operand string, stdin io.Reader) (*record.Bundle, error) {
	in, err := openInput(operand, stdin)
	if err != nil {
		return nil, err
	}
	defer in.close()
	c := &claim{} // without a scheme, for a digest alone
	if v.cfg.key != "" {
		if c, err = v.claim(ctx, operand); err != nil {
			return nil, err
		}
	}
	sums, err := v.read(ctx, in, c.schemes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", in.path, err)
	}
	b := &record.Bundle{
		Path: in.path, Format: bundle.FormatOf(in.head), Size: in.at.Load(),
		Digest: "sha256:" + hex.EncodeToString(sums[0]), Signature: record.SignatureNone,
	}
	if v.cfg.key != "" {
		b.SignatureFile, b.Key, b.Signature = c.path, c.key.fingerprint, record.SignatureGood
		err = c.check(b, sums)
	}
	if v.cfg.digest != "" && v.cfg.digest != b.Digest {
		err = cli.Hint(fmt.Errorf("%s: wrong digest: it is %s, want %s", b.Path, b.Digest, v.cfg.digest), "%s", remedy(b))
	}
	if err != nil {
		b.Signature = record.SignatureBad
		return b, err
	}
	v.told(b, c)
	return b, nil
}

// claim loads the key and the signature, and settles how they fit together.
func (v *verifier) claim(ctx context.Context, operand string) (*claim, error) {
	path := v.cfg.signature
	var err error
	if path == "" {
		if path, err = findSignature(operand); err != nil {
			return nil, err
		}
	}
	c := &claim{}
	if c.signature, err = readSignature(path); err != nil {
		return nil, err
	}
	if c.path, err = filepath.Abs(path); err != nil {
		return nil, err
	}
	if c.key, err = loadKey(ctx, v.cfg.key); err != nil {
		return nil, err
	}
	v.log.Debug("key loaded", "type", c.key.name, "fingerprint", c.key.fingerprint, "signature", c.path)
	if isURL(v.cfg.key) {
		v.progress.Warn("key %s was fetched just now, as %s; whoever answers for that address, or on the way to it, can sign anything", v.cfg.key, c.key.fingerprint)
	}
	sig, err := c.signature.fit(c.key)
	if err != nil {
		return nil, fmt.Errorf("signature %s: %w", path, err)
	}
	c.schemes = schemes(c.key, sig)
	return c, nil
}

// read hashes the whole input. The first sum is SHA-256, the others are those
// of the schemes.
func (v *verifier) read(ctx context.Context, in *input, schemes []scheme) ([][]byte, error) {
	hashes := []hash.Hash{sha256.New()}
	of := make([]int, len(schemes)) // the hash of each scheme
	for i, s := range schemes {
		if s.plainSHA256() {
			continue
		}
		of[i] = len(hashes)
		hashes = append(hashes, s.start())
	}
	v.progress.Start("verifying", in.size(), in.at.Load)
	for block, err := range blocks(ctx, in.Reader) {
		if err != nil {
			return nil, err
		}
		if in.head == nil {
			in.head = bytes.Clone(block[:min(len(block), 512)])
		}
		feed(hashes, block)
		in.at.Add(int64(len(block)))
	}
	if err := in.unchanged(); err != nil {
		return nil, err
	}
	sums := [][]byte{hashes[0].Sum(nil)}
	for _, i := range of {
		sums = append(sums, hashes[i].Sum(nil))
	}
	return sums, nil
}

// check tells whether the signature holds for what was read.
func (c *claim) check(b *record.Bundle, sums [][]byte) error {
	signed := c.signature.digest
	sum, known := c.sumBy(signed.algorithm, sums)
	if known && !bytes.Equal(signed.sum, sum) {
		return cli.Hint(fmt.Errorf("%s: bad signature: %s is of another file, or this one was changed or cut short: its digest is %x, the signed one is %x",
			b.Path, c.path, sum, signed.sum), "%s", remedy(b))
	}
	for i, s := range c.schemes {
		if s.holds(sums[i+1]) {
			return nil
		}
	}
	switch {
	case c.signature.key != "" && c.signature.key != c.key.fingerprint:
		return cli.Hint(fmt.Errorf("%s: bad signature: wrong key: %s says that it was made with key %s, the one given is %s", b.Path, c.path, c.signature.key, c.key.fingerprint),
			"%s", c.signature.otherKey())
	case known:
		return fmt.Errorf("%s: bad signature: the file has the digest that %s names, but the key given (%s) has not signed it", b.Path, c.path, c.key.fingerprint)
	}
	return cli.Hint(fmt.Errorf("%s: bad signature: the file (%d bytes, %s) was changed or cut short, or %s is of another file or another key than the one given (%s)",
		b.Path, b.Size, b.Digest, c.path, c.key.fingerprint), "%s", remedy(b))
}

// sumBy gives the file's sum by one of sigstore's algorithms, if it was computed.
func (c *claim) sumBy(algorithm string, sums [][]byte) ([]byte, bool) {
	if algorithm == algorithms[crypto.SHA256] {
		return sums[0], true
	}
	for i, s := range c.schemes {
		if s.prefix == nil && algorithm == algorithms[s.hash] {
			return sums[i+1], true
		}
	}
	return nil, false
}

// remedy tells what to do about a file with other content than expected.
func remedy(b *record.Bundle) string {
	if b.Size == 0 {
		return "the file is empty"
	}
	if b.Format != "" {
		return "compare its size with the vendor's, and copy it again; bundle-ls tells where a bundle is cut short or damaged"
	}
	return "compare its size with the vendor's, and copy it again"
}

// told tells people the outcome, and what was not checked.
func (v *verifier) told(b *record.Bundle, c *claim) {
	outcome := "digest as expected"
	if v.cfg.key != "" {
		outcome = "signature good"
		if c.key.certificate != nil {
			v.progress.Warn("key %s: a certificate; only its key was used, not checked were its issuer and its dates", v.cfg.key)
		}
		if rest := c.signature.unchecked; len(rest) > 0 {
			v.progress.Warn("%s: the signature was checked with the key and is good; not checked: %s", c.path, strings.Join(rest, ", "))
		}
	}
	v.progress.Item(1, cli.ItemText(b.Path, outcome, b.Size))
}

// An input is the file to verify.
type input struct {
	io.Reader
	path string // absolute, or "-"
	at   atomic.Int64
	head []byte

	file   *os.File    // nil unless opened here
	before os.FileInfo // nil unless a regular file
}

// openInput opens the file; "-" means stdin.
func openInput(operand string, stdin io.Reader) (*input, error) {
	if operand == "-" {
		if err := cli.CheckStdin(stdin); err != nil {
			return nil, err
		}
		return &input{Reader: stdin, path: operand}, nil
	}
	path, err := filepath.Abs(operand)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(operand)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	switch {
	case err == nil && info.IsDir():
		err = cli.Hint(fmt.Errorf("%s: a directory; what the vendor signs is one file", operand), "verify the archive that it was unpacked from, then list and push that: it need not be unpacked")
	case err == nil && !info.Mode().IsRegular():
		info = nil
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return &input{Reader: f, path: path, file: f, before: info}, nil
}

func (in *input) close() {
	if in.file != nil {
		in.file.Close()
	}
}

// size is the file's size, or 0 where it cannot be known.
func (in *input) size() int64 {
	if in.before == nil {
		return 0
	}
	return in.before.Size()
}

// unchanged fails when somebody wrote to the file while it was read, for then
// what was hashed may never have been in it at any one time.
func (in *input) unchanged() error {
	if in.before == nil {
		return nil
	}
	after, err := in.file.Stat()
	if err != nil {
		return err
	}
	if after.Size() != in.before.Size() || in.at.Load() != after.Size() || !after.ModTime().Equal(in.before.ModTime()) {
		return cli.Hint(errors.New("changed while it was read"), "wait until it is complete")
	}
	return nil
}
