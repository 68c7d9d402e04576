package pemfile

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"fmt"

	"k0rdent-airgap/lib/cli"
)

// Containers of certificates and keys, which are not supported.
const (
	pkcs7  = "PKCS7"
	pkcs12 = "PKCS12"
)

var signedData = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2}

// one returns DER as the only block of a file. form is the option that tells
// openssl the file's form.
func one(name, kind string, der []byte, form string) ([]*pem.Block, error) {
	switch kind {
	case pkcs7:
		return nil, cli.Hint(fmt.Errorf("%s: a PKCS #7 container", name), "convert it: openssl pkcs7%s -print_certs -in %s -out certs.pem", form, name)
	case pkcs12:
		return nil, cli.Hint(fmt.Errorf("%s: a PKCS #12 container", name), "convert it: openssl pkcs12 -nodes -in %s -out both.pem", name)
	}
	return []*pem.Block{{Type: kind, Bytes: der}}, nil
}

// kindOf returns the PEM block type of DER, and the DER without trailing
// blanks, or "" for anything else.
func kindOf(content []byte) (kind string, der []byte) {
	var outer asn1.RawValue
	rest, err := asn1.Unmarshal(content, &outer)
	if err != nil || len(bytes.TrimSpace(rest)) > 0 {
		return "", nil
	}
	der = outer.FullBytes
	for _, form := range []struct {
		kind string
		is   func([]byte) bool
	}{
		{Certificate, parses(x509.ParseCertificate)},
		{PublicKey, parses(x509.ParsePKIXPublicKey)},
		{RSAPublicKey, parses(x509.ParsePKCS1PublicKey)},
		{PrivateKey, parses(x509.ParsePKCS8PrivateKey)},
		{"RSA PRIVATE KEY", parses(x509.ParsePKCS1PrivateKey)},
		{"EC PRIVATE KEY", parses(x509.ParseECPrivateKey)},
	} {
		if form.is(der) {
			return form.kind, der
		}
	}
	var oid asn1.ObjectIdentifier
	if _, err := asn1.Unmarshal(outer.Bytes, &oid); err == nil && oid.Equal(signedData) {
		return pkcs7, der
	}
	var version int
	if rest, err := asn1.Unmarshal(outer.Bytes, &version); err == nil && version == 3 && len(rest) > 0 && rest[0] == 0x30 {
		return pkcs12, der
	}
	return "", nil
}

func parses[T any](parse func([]byte) (T, error)) func([]byte) bool {
	return func(der []byte) bool {
		_, err := parse(der)
		return err == nil
	}
}
