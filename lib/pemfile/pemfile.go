// Package pemfile reads the certificates and keys that people pass to a tool:
// in PEM form as any editor saves it, or in DER form as Windows and key
// services export it.
package pemfile

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"

	"k0rdent-airgap/lib/textfile"
)

// ErrNone is wrapped by errors for a file that holds neither PEM nor DER.
var ErrNone = errors.New("no certificate or key in PEM or DER form")

// Types of PEM blocks (RFC 7468).
const (
	Certificate  = "CERTIFICATE"
	PublicKey    = "PUBLIC KEY"
	RSAPublicKey = "RSA PUBLIC KEY"
	PrivateKey   = "PRIVATE KEY"
)

// Read returns the blocks of the file at path. Errors name the file.
func Read(path string) ([]*pem.Block, error) {
	content, err := textfile.Bytes(path)
	if err != nil {
		return nil, err
	}
	return Blocks(path, content)
}

// Blocks returns the PEM blocks of content, of which there is at least one.
// DER, raw or in base64, counts as one block. Errors name the file.
func Blocks(name string, content []byte) ([]*pem.Block, error) {
	if len(bytes.TrimSpace(content)) == 0 {
		return nil, fmt.Errorf("%s: the file is empty", name)
	}
	if kind, der := kindOf(content); kind != "" {
		return one(name, kind, der, " -inform DER")
	}
	text, err := textfile.Text(content)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, ErrNone)
	}
	if decoded, err := base64.StdEncoding.AppendDecode(nil, bytes.Join(bytes.Fields(text), nil)); err == nil {
		if kind, der := kindOf(decoded); kind != "" {
			return one(name, kind, der, "")
		}
	}
	var all []*pem.Block
	for rest := tidy(text); ; {
		var b *pem.Block
		if b, rest = pem.Decode(rest); b == nil {
			break
		}
		if b.Type == "CMS" {
			b.Type = pkcs7
		}
		if b.Type == pkcs7 {
			return one(name, pkcs7, nil, "")
		}
		all = append(all, b)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%s: %w", name, ErrNone)
	}
	return all, nil
}

// Certificates returns the certificates in the file at path, and their PEM
// text. Errors name the file.
func Certificates(path string) ([]*x509.Certificate, []byte, error) {
	blocks, err := Read(path)
	if err != nil {
		return nil, nil, err
	}
	var all []*x509.Certificate
	var text []byte
	for _, b := range blocks {
		if b.Type != Certificate {
			continue
		}
		c, err := x509.ParseCertificate(b.Bytes)
		if err != nil {
			return nil, nil, fmt.Errorf("%s: certificate %d: %w", path, len(all)+1, err)
		}
		all = append(all, c)
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: Certificate, Bytes: b.Bytes})...)
	}
	if len(all) == 0 {
		return nil, nil, fmt.Errorf("%s: no certificate, only %s", path, blocks[0].Type)
	}
	return all, text, nil
}

// tidy repairs PEM that was damaged in transit: blanks around lines, byte order
// marks of concatenated files, and a missing line end between two of them.
func tidy(text []byte) []byte {
	text = bytes.ReplaceAll(text, []byte("\ufeff"), nil)
	text = bytes.ReplaceAll(text, []byte("----------BEGIN"), []byte("-----\n-----BEGIN"))
	all := bytes.Split(text, []byte("\n"))
	for i := range all {
		all[i] = bytes.TrimSpace(all[i])
	}
	return bytes.Join(all, []byte("\n"))
}
