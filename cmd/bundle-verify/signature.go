package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rsa"
	"encoding/asn1"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"unicode/utf8"

	"k0rdent-airgap/lib/bundle"
	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/textfile"
)

// A signature is the content of a signature file.
type signature struct {
	// forms are the possible bytes of the signature: the file's, and those
	// decoded from base64. The key decides which one is used.
	forms [][]byte
	// The rest comes only from a bundle. None of it is signed.
	digest      digest
	key         string   // fingerprint of the key that it claims to be made with
	certificate string   // its owner and issuer, for people
	unchecked   []string // what else is in it, for people
}

// A digest of the signed file, according to a bundle.
type digest struct {
	algorithm string // as in HashAlgorithm of sigstore's protobuf-specs; "" for none
	sum       []byte
}

// suffixes are appended to a file's name to find its signature, in this order.
var suffixes = [...]string{".sig", ".sigstore.json"}

// findSignature returns the signature file next to a file, or next to the
// target of a symbolic link. That of a series has the name of the whole.
func findSignature(operand string) (string, error) {
	if operand == "-" {
		return "", cli.Hint(errors.New("stdin: no signature"), "name its file with --signature")
	}
	whole := bundle.Whole(operand)
	beside := []string{whole, operand}
	if target, err := filepath.EvalSymlinks(operand); err == nil {
		beside = append(beside, bundle.Whole(target), target)
	}
	for _, file := range beside {
		for _, s := range suffixes {
			if _, err := os.Stat(file + s); !errors.Is(err, fs.ErrNotExist) {
				return file + s, err
			}
		}
	}
	if err := mistaken(operand); err != nil {
		return "", err
	}
	name := filepath.Base(whole)
	return "", cli.Hint(fmt.Errorf("%s: no signature: neither %s%s nor %[2]s%[4]s exists", operand, name, suffixes[0], suffixes[1]),
		"get it where the file came from, at the same URL plus %s, or name it with --signature", suffixes[0])
}

// readSignature reads a signature file.
func readSignature(name string) (*signature, error) {
	content, err := textfile.Bytes(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, cli.Hint(fmt.Errorf("no signature: %w", err), "get it where the file came from, at the same URL plus %s", suffixes[0])
	}
	if err != nil {
		return nil, fmt.Errorf("signature: %w", err)
	}
	s, err := parseSignature(content)
	if err != nil {
		return nil, fmt.Errorf("signature %s: %w", name, err)
	}
	return s, nil
}

// parseSignature parses a detached signature, in base64 or binary, or one of
// cosign's bundles.
func parseSignature(content []byte) (*signature, error) {
	text := content
	if t, err := textfile.Text(content); err == nil {
		text = t
	}
	text = bytes.TrimSpace(text)
	isText := utf8.Valid(text) // one binary signature in 256 begins with each of these
	switch {
	case len(text) == 0:
		return nil, errors.New("the file is empty")
	case text[0] == '{' && isText:
		return parseBundle(text)
	case text[0] == '<' && isText:
		return nil, cli.Hint(errors.New("not a signature: HTML or XML, perhaps a server's error page saved under this name"), "get it again")
	}
	s := &signature{}
	if decoded, err := decodeBase64(text); err == nil {
		s.forms = append(s.forms, decoded)
	}
	s.forms = append(s.forms, content, bytes.TrimLeft(content, " \t\r\n"))
	return s, nil
}

// decodeBase64 decodes base64, ignoring white space.
func decodeBase64(text []byte) ([]byte, error) {
	return base64.StdEncoding.AppendDecode(nil, bytes.Join(bytes.Fields(text), nil))
}

// fit returns the bytes that have the form of a signature made with the key. A
// signature made with another type of key is an error that says so.
func (s *signature) fit(k *key) ([]byte, error) {
	for _, form := range s.forms {
		if exact := fits(k, form); exact != nil {
			return exact, nil
		}
	}
	if kind := s.kind(); kind != "" {
		return nil, cli.Hint(fmt.Errorf("wrong key type: the signature is one of %s, the key is %s", kind, k.name), "%s", s.otherKey())
	}
	return nil, cli.Hint(fmt.Errorf("not a signature: %d bytes that are neither base64 nor binary of an %s signature", len(s.forms[len(s.forms)-1]), k.name), "get it again")
}

// kind returns the type of key that the signature was made with, by its form,
// or "".
func (s *signature) kind() string {
	for _, form := range s.forms {
		if kind := kindOf(form); kind != "" {
			return kind
		}
	}
	return ""
}

// otherKey returns the hint for a signature made with another key.
func (s *signature) otherKey() string {
	if s.certificate != "" {
		return "the signer has the " + s.certificate + "; cosign verify-blob checks such signatures, on a host with internet"
	}
	return "get the key from the vendor of this file and release"
}

// fits returns b without trailing white space if it has the form of a signature
// made with k, or nil.
func fits(k *key, b []byte) []byte {
	size := 64 // Ed25519
	switch p := k.public.(type) {
	case *ecdsa.PublicKey:
		curve, size := ecdsaForm(b)
		if curve != p.Params().Name {
			return nil
		}
		return b[:size]
	case *rsa.PublicKey:
		size = p.Size()
	}
	if len(b) < size || len(bytes.TrimSpace(b[size:])) > 0 {
		return nil
	}
	return b[:size]
}

// ecdsaForm returns the curve of an ECDSA signature in DER form, by the length
// of its numbers, and its size in bytes, or "" if it is not one.
func ecdsaForm(b []byte) (curve string, size int) {
	var rs struct{ R, S *big.Int }
	rest, err := asn1.Unmarshal(b, &rs)
	if err != nil || len(bytes.TrimSpace(rest)) > 0 || rs.R.Sign() <= 0 || rs.S.Sign() <= 0 {
		return "", 0
	}
	size = len(b) - len(rest)
	switch bits := max(rs.R.BitLen(), rs.S.BitLen()); {
	case bits <= 256:
		return "P-256", size
	case bits <= 384:
		return "P-384", size
	case bits <= 521:
		return "P-521", size
	}
	return "", 0
}

// kindOf names the type of key that a signature was made with, by its form.
// Random bytes of the right length are named as well.
func kindOf(b []byte) string {
	if curve, _ := ecdsaForm(b); curve != "" {
		return "ECDSA " + curve
	}
	for _, n := range []int{len(b), len(bytes.TrimSpace(b))} {
		switch {
		case n == 64:
			return "Ed25519"
		case slices.Contains([]int{256, 384, 512}, n):
			return fmt.Sprintf("RSA %d", 8*n)
		}
	}
	return ""
}
