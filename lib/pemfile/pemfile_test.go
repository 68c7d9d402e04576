package pemfile

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k0rdent-airgap/lib/cli"
)

// pair returns a certificate, its public key and its private key, all in DER.
func pair(t testing.TB) (cert, public, private []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotAfter: time.Now().Add(time.Hour)}
	cert, err1 := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	public, err2 := x509.MarshalPKIXPublicKey(&key.PublicKey)
	private, err3 := x509.MarshalPKCS8PrivateKey(key)
	if err := errors.Join(err1, err2, err3); err != nil {
		t.Fatal(err)
	}
	return cert, public, private
}

func encode(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func TestBlocksOfEveryForm(t *testing.T) {
	cert, public, private := pair(t)
	c := encode(Certificate, cert)
	const bom = "\xef\xbb\xbf"
	tests := []struct {
		name, content string
		want          []string
	}{
		{"PEM", c, []string{Certificate}},
		{"BOM and CRLF", bom + strings.ReplaceAll(c, "\n", "\r\n"), []string{Certificate}},
		{"text before it", "Bag Attributes\n  x: y\n" + c, []string{Certificate}},
		{"indented", strings.ReplaceAll(c, "\n", "\n    "), []string{Certificate}},
		{"joined files with marks", bom + c + bom + encode(PrivateKey, private), []string{Certificate, PrivateKey}},
		{"joined without a line end", strings.TrimSpace(c) + encode(PublicKey, public), []string{Certificate, PublicKey}},
		{"DER certificate", string(cert), []string{Certificate}},
		{"DER public key", string(public), []string{PublicKey}},
		{"DER private key", string(private), []string{PrivateKey}},
		{"DER with a line end", string(public) + "\r\n", []string{PublicKey}},
		{"base64 of DER", base64.StdEncoding.EncodeToString(public) + "\n", []string{PublicKey}},
	}
	for _, tt := range tests {
		got, err := Blocks("file", []byte(tt.content))
		var kinds []string
		for _, b := range got {
			kinds = append(kinds, b.Type)
		}
		if err != nil || strings.Join(kinds, ",") != strings.Join(tt.want, ",") {
			t.Errorf("%s: Blocks = %q, %v, want %q", tt.name, kinds, err, tt.want)
		}
		if len(got) > 0 && !bytes.Equal(got[0].Bytes, map[string][]byte{Certificate: cert, PublicKey: public, PrivateKey: private}[got[0].Type]) {
			t.Errorf("%s: not the same DER", tt.name)
		}
	}
}

func TestContainersAreRefusedWithTheCommandThatConvertsThem(t *testing.T) {
	p7, err1 := asn1.Marshal(struct{ OID asn1.ObjectIdentifier }{signedData})
	p12, err2 := asn1.Marshal(struct {
		Version int
		Safe    struct{ OID asn1.ObjectIdentifier }
	}{3, struct{ OID asn1.ObjectIdentifier }{signedData}})
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	tests := []struct{ name, content, want, hint string }{
		{"p7b", string(p7), "PKCS #7", "openssl pkcs7 -inform DER -print_certs -in f"},
		{"p7b in PEM", encode("PKCS7", p7), "PKCS #7", "openssl pkcs7 -print_certs -in f"},
		{"pfx", string(p12), "PKCS #12", "openssl pkcs12 -nodes -in f"},
		{"text", "hello", ErrNone.Error(), ""},
		{"binary", "\x00\x01", ErrNone.Error(), ""},
		{"nothing", " \n", "the file is empty", ""},
	}
	for _, tt := range tests {
		_, err := Blocks("f", []byte(tt.content))
		if err == nil || !strings.HasPrefix(err.Error(), "f: ") || !strings.Contains(err.Error(), tt.want) || !strings.Contains(cli.HintOf(err), tt.hint) {
			t.Errorf("%s: error is %v with hint %q, want %s and %q", tt.name, err, cli.HintOf(err), tt.want, tt.hint)
		}
	}
}

func TestCertificates(t *testing.T) {
	cert, public, _ := pair(t)
	file := filepath.Join(t.TempDir(), "ca")
	for _, content := range []string{string(cert), encode(Certificate, cert) + encode(PublicKey, public)} {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		all, text, err := Certificates(file)
		if err != nil || len(all) != 1 || string(text) != encode(Certificate, cert) {
			t.Errorf("Certificates = %d, %q, %v", len(all), text, err)
		}
	}
	for content, want := range map[string]string{
		encode(PublicKey, public):               "no certificate, only PUBLIC KEY",
		encode(Certificate, cert[:len(cert)-1]): "certificate 1: ",
	} {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, _, err := Certificates(file); err == nil || !strings.HasPrefix(err.Error(), file+": "+want) {
			t.Errorf("error is %v, want %s: %s", err, file, want)
		}
	}
}

func FuzzBlocks(f *testing.F) {
	cert, public, _ := pair(f)
	f.Add(cert)
	f.Add([]byte(encode(PublicKey, public)))
	f.Fuzz(func(t *testing.T, content []byte) {
		all, err := Blocks("f", content)
		if (err == nil) != (len(all) > 0) {
			t.Errorf("Blocks = %d blocks, %v", len(all), err)
		}
	})
}
