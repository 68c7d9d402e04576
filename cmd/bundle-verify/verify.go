package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"

	"k0rdent-airgap/lib/bundle"
	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/pipe"
	"k0rdent-airgap/lib/record"
)

// headSize is how many bytes from the start of a file identify its format.
const headSize = 4096

// A verifier verifies one file.
type verifier struct {
	cfg      *config
	progress *cli.Progress
	log      *slog.Logger
}

// A claim is a signature and the keys of which one must have made it.
type claim struct {
	path      string // of the signature, absolute
	signature *signature
	schemes   []scheme
}

// verify reads the file and returns its record. An error with a record means
// that the file is not what it should be; an error without one, that it could
// not be verified.
func (v *verifier) verify(ctx context.Context, operand string, stdin io.Reader) (*record.Bundle, error) {
	if v.cfg.plan && v.cfg.key == "" {
		return unverified(ctx, operand)
	}
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
	if v.cfg.plan {
		return &record.Bundle{Path: in.path, Size: in.size, Signature: record.SignatureNone, SignatureFile: c.path}, nil
	}
	sum, err := v.read(ctx, in, c.schemes)
	if err != nil {
		return nil, pipe.Bundle{Path: in.path}.Named(err)
	}
	b := &record.Bundle{
		Path: in.path, Format: bundle.FormatOf(in.head), Size: in.at.Load(),
		Digest: "sha256:" + hex.EncodeToString(sum), Signature: record.SignatureNone,
	}
	if v.cfg.key != "" {
		b.SignatureFile, b.Signature = c.path, record.SignatureGood
		err = v.check(in, c, b, sum)
	}
	if v.cfg.digest != "" && v.cfg.digest != b.Digest {
		err = cli.Hint(fmt.Errorf("%s: digest mismatch: want %s, got %s", in.name, v.cfg.digest, b.Digest), "%s", remedy(in, b, damaged))
	}
	if err != nil {
		b.Signature = record.SignatureBad
		return b, err
	}
	v.report(b, c)
	return b, nil
}

// unverified returns the record of a bundle that only has to be there.
func unverified(ctx context.Context, operand string) (*record.Bundle, error) {
	path, err := filepath.Abs(operand)
	if err != nil {
		return nil, err
	}
	open, err := pipe.Bundle{Path: path}.Open(ctx, nil)
	if err != nil {
		return nil, err
	}
	defer open.Close()
	return &record.Bundle{Path: path, Format: open.Format, Size: open.Size, Signature: record.SignatureNone}, nil
}

// claim loads the key and the signature, and checks that they fit together.
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
	keys, err := loadKeys(ctx, v.cfg.key)
	if err != nil {
		return nil, err
	}
	var misfit error
	for _, k := range keys {
		v.log.Debug("key loaded", "type", k.name, "fingerprint", k.fingerprint, "signature", c.path)
		sig, err := c.signature.fit(k)
		if err != nil {
			misfit = cmp.Or(misfit, err)
			continue
		}
		c.schemes = append(c.schemes, schemes(k, sig)...)
	}
	if len(c.schemes) == 0 {
		return nil, fmt.Errorf("signature %s: %w", path, misfit)
	}
	if isURL(v.cfg.key) {
		v.progress.Warn("key %s was just fetched, with fingerprint %s; anyone who controls that server, or the connection to it, can sign anything", v.cfg.key, keys[0].fingerprint)
	}
	return c, nil
}

// read hashes the whole input: it returns the SHA-256 sum and sets those of the
// schemes.
func (v *verifier) read(ctx context.Context, in *input, schemes []scheme) ([]byte, error) {
	hashes := []hash.Hash{sha256.New()}
	of := make([]hash.Hash, len(schemes))
	for i, s := range schemes {
		if of[i] = hashes[0]; !s.plainSHA256() {
			of[i] = s.start()
			hashes = append(hashes, of[i])
		}
	}
	v.progress.Start("verifying", in.size, in.at.Load)
	err := each(ctx, in.Reader, func(block []byte) {
		in.head = append(in.head, block[:min(len(block), headSize-len(in.head))]...)
		feed(hashes, block)
		in.at.Add(int64(len(block)))
	})
	if err == nil {
		err = in.unchanged()
	}
	if err != nil {
		return nil, err
	}
	for i := range schemes {
		schemes[i].sum = of[i].Sum(nil)
	}
	return hashes[0].Sum(nil), nil
}

// check verifies the signature of the bytes read, and sets the key that made it
// in the record.
func (v *verifier) check(in *input, c *claim, b *record.Bundle, sum256 []byte) error {
	b.Key = c.schemes[0].key.fingerprint
	signed := c.signature.digest
	sum, known := c.sumBy(signed.algorithm, sum256)
	if known && !bytes.Equal(signed.sum, sum) {
		return cli.Hint(fmt.Errorf("%s: bad signature: the file was altered or truncated, or %s belongs to another file: its digest is %x, the signed one is %x",
			in.name, c.path, sum, signed.sum), "%s", remedy(in, b, damaged))
	}
	for _, s := range c.schemes {
		if s.holds(s.sum) {
			b.Key = s.key.fingerprint
			return nil
		}
	}
	switch {
	case c.signature.key != "" && !slices.ContainsFunc(c.schemes, func(s scheme) bool { return s.key.fingerprint == c.signature.key }):
		return cli.Hint(fmt.Errorf("%s: bad signature: wrong key: %s was made with key %s, and %s is %s", in.name, c.path, c.signature.key, v.cfg.key, b.Key),
			"%s", c.signature.otherKey())
	case known:
		return cli.Hint(fmt.Errorf("%s: bad signature: the file has the digest that %s names, but the owner of %s has not signed it", in.name, c.path, v.cfg.key),
			"%s", c.signature.otherKey())
	}
	return cli.Hint(fmt.Errorf("%s: bad signature: it is not what the owner of %s signed", in.name, v.cfg.key), "%s", remedy(in, b,
		fmt.Sprintf("the file may be altered or truncated (it has %d bytes), the signature may be for another file, or the key may not be the vendor's: compare all three with the vendor's", b.Size)))
}

// sumBy returns the file's sum by one of sigstore's algorithms, if it was
// computed.
func (c *claim) sumBy(algorithm string, sum256 []byte) ([]byte, bool) {
	if algorithm == algorithms[crypto.SHA256] {
		return sum256, true
	}
	for _, s := range c.schemes {
		if s.prefix == nil && algorithm == algorithms[s.hash] {
			return s.sum, true
		}
	}
	return nil, false
}

// report prints what was not checked.
func (v *verifier) report(b *record.Bundle, c *claim) {
	if v.cfg.key == "" {
		return
	}
	if slices.ContainsFunc(c.schemes, func(s scheme) bool { return s.key.fingerprint == b.Key && s.key.certificate != nil }) {
		v.progress.Warn("key %s is a certificate: only its key was used; issuer and validity were not checked", v.cfg.key)
	}
	if rest := c.signature.unchecked; len(rest) > 0 {
		v.progress.Warn("%s: the signature was checked with the key and is good; not checked: %s", c.path, strings.Join(rest, ", "))
	}
}

// verdict returns the result for a person.
func (v *verifier) verdict(b *record.Bundle, operand string) record.Sentence {
	const digits = len("sha256:") + 12
	switch {
	case v.cfg.plan && b.SignatureFile == "":
		return record.Sentence(fmt.Sprintf("%s: %s, nothing to verify it with", operand, record.Bytes(b.Size)))
	case v.cfg.plan:
		return record.Sentence(fmt.Sprintf("%s: %s to verify with %s and %s", operand, record.Bytes(b.Size), b.SignatureFile, v.cfg.key))
	}
	return record.Sentence(fmt.Sprintf("%s (%s, %s…)", b.Verdict(operand, v.cfg.key), record.Bytes(b.Size), b.Digest[:digits]))
}
