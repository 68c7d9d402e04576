package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k0rdent-airgap/lib/cli"
)

// site is a root, an intermediate and a server's certificate with its key.
type site struct {
	root, between, leaf *x509.Certificate
	key                 string // PEM
}

func newSite(t *testing.T, change func(leaf *x509.Certificate)) site {
	t.Helper()
	var s site
	now := time.Now()
	var parent *x509.Certificate
	var parentKey *ecdsa.PrivateKey
	for i, to := range []**x509.Certificate{&s.root, &s.between, &s.leaf} {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		template := &x509.Certificate{
			Subject:   pkix.Name{CommonName: []string{"root", "between", "leaf"}[i]},
			NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour), IsCA: i < 2, BasicConstraintsValid: true,
		}
		if i == 2 {
			template.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
			if change != nil {
				change(template)
			}
		}
		if parent == nil {
			parent, parentKey = template, key
		}
		der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, parentKey)
		if err != nil {
			t.Fatal(err)
		}
		if *to, err = x509.ParseCertificate(der); err != nil {
			t.Fatal(err)
		}
		parent, parentKey = *to, key
		private, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		s.key = string(encode("PRIVATE KEY", private))
	}
	return s
}

func text(c *x509.Certificate) string { return string(encode("CERTIFICATE", c.Raw)) }

func writeText(t *testing.T, name, content string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// A client that knows only the root accepts the certificate, in any order and form of
// its chain.
func TestCertificateInEveryForm(t *testing.T) {
	s := newSite(t, nil)
	const bom = "\xef\xbb\xbf"
	for name, chain := range map[string]string{
		"leaf first":         text(s.leaf) + text(s.between),
		"intermediate first": text(s.between) + text(s.leaf),
		"root first":         text(s.root) + text(s.between) + text(s.leaf),
		"marks between":      bom + text(s.between) + bom + text(s.leaf),
		"with its key":       s.key + text(s.leaf) + text(s.between),
	} {
		pair, err := loadPair(writeText(t, "cert", chain), writeText(t, "key", bom+s.key))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		roots := x509.NewCertPool()
		roots.AddCert(s.root)
		client, server := net.Pipe()
		go func() {
			tls.Server(server, &tls.Config{Certificates: []tls.Certificate{*pair}}).Handshake()
			server.Close()
		}()
		if err := tls.Client(client, &tls.Config{RootCAs: roots, ServerName: "127.0.0.1"}).Handshake(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		client.Close()
	}
	block, _ := pem.Decode([]byte(s.key))
	for name, key := range map[string]string{"DER": string(block.Bytes), "base64": base64.StdEncoding.EncodeToString(block.Bytes)} {
		if _, err := loadPair(writeText(t, "cert", string(s.leaf.Raw)), writeText(t, "key", key)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Each wrong file ends the start as misuse, which systemd does not try again,
// and the message names the file and what to do.
func TestWrongCertificateFiles(t *testing.T) {
	s, other := newSite(t, nil), newSite(t, nil)
	cert := writeText(t, "cert", text(s.leaf))
	encrypted := "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMAA=\n-----END ENCRYPTED PRIVATE KEY-----\n"
	old := "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nMAA=\n-----END RSA PRIVATE KEY-----\n"
	for _, tt := range []struct{ name, cert, key, want, hint string }{
		{"another key", cert, writeText(t, "key", other.key), "/key is not the key of " + cert, "openssl pkey"},
		{"encrypted", cert, writeText(t, "key", encrypted), "/key: the key is encrypted", "decrypt it: openssl pkey -in "},
		{"encrypted, old form", cert, writeText(t, "key", old), "/key: the key is encrypted", "decrypt it"},
		{"swapped", writeText(t, "key", s.key), cert, "cert: no private key in it, only CERTIFICATE", "chain with --tls-cert"},
		{"two keys", writeText(t, "key", s.key), writeText(t, "key", s.key), "key: no certificate, only PRIVATE KEY", "chain with --tls-cert"},
		{"no file", cert + "x", writeText(t, "key", s.key), "certx: no such file", ""},
		{"empty", writeText(t, "none", ""), writeText(t, "key", s.key), "none: the file is empty", ""},
		{"PKCS #7", writeText(t, "cert", "0\x0b\x06\x09*\x86H\x86\xf7\x0d\x01\x07\x02"), writeText(t, "key", s.key), "cert: a PKCS #7 container", "openssl pkcs7 -inform DER"},
		{"damaged", cert, writeText(t, "key", string(encode("PRIVATE KEY", []byte("0\x00")))), "/key: ", ""},
	} {
		_, _, err := openTLS(context.Background(), config{tlsCert: tt.cert, tlsKey: tt.key}, slog.New(slog.DiscardHandler))
		if cli.Code(err) != cli.CodeMisuse || !strings.Contains(err.Error(), tt.want) || !strings.Contains(cli.HintOf(err), tt.hint) {
			t.Errorf("%s: code %d, %v, hint %q, want misuse: %s, %s", tt.name, cli.Code(err), err, cli.HintOf(err), tt.want, tt.hint)
		}
	}
}

// What clients will refuse is served, since only the clock may be wrong, but
// not without a word.
func TestUnfitCertificatesAreNamed(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*x509.Certificate)
		want   string
	}{
		{"good", nil, ""},
		{"expired", func(c *x509.Certificate) { c.NotAfter = time.Date(2021, 2, 3, 0, 0, 0, 0, time.UTC) }, "the certificate expired on 2021-02-03"},
		{"not yet valid", func(c *x509.Certificate) { c.NotBefore = time.Now().Add(30 * time.Minute) }, "the certificate is not valid before "},
		{"no names", func(c *x509.Certificate) { c.IPAddresses = nil }, "no subject alternative names"},
		{"another host's", func(c *x509.Certificate) { c.IPAddresses, c.DNSNames = nil, []string{"other.invalid"} }, "is for other.invalid, and none of these"},
	} {
		s := newSite(t, tt.change)
		var log strings.Builder
		file := writeText(t, "cert", text(s.leaf))
		if _, _, err := openTLS(context.Background(), config{tlsCert: file, tlsKey: writeText(t, "key", s.key)}, slog.New(&faultHandler{&log})); err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
		if tt.want == "" && log.Len() > 0 || tt.want != "" && (!strings.HasPrefix(log.String(), "oci-serve: "+file+": ") || !strings.Contains(log.String(), tt.want) || strings.Count(log.String(), "\n") != 1) {
			t.Errorf("%s: log %q, want %q", tt.name, log.String(), tt.want)
		}
	}
}

func TestUnreadableUsers(t *testing.T) {
	for name, tt := range map[string]struct{ content, want string }{
		"malformed": {"alice", "line 1: must be NAME:HASH"},
		"empty":     {"", "no users in it"},
		"a mark":    {"\xef\xbb\xbf" + strings.ReplaceAll(aliceLine, "alice", ""), "line 1: must be NAME:HASH"},
	} {
		err := run(context.Background(), []string{"--storage", t.TempDir(), "--port", "0", "--htpasswd", writeText(t, "users", tt.content)}, nil, io.Discard, io.Discard)
		if cli.Code(err) != cli.CodeMisuse || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: code %d, %v, want misuse: %s", name, cli.Code(err), err, tt.want)
		}
	}
	err := unreadable("--htpasswd", &os.PathError{Op: "open", Path: "/f", Err: os.ErrPermission})
	if hint := cli.HintOf(err); cli.Code(err) != cli.CodeMisuse || !strings.HasPrefix(hint, "let oci-serve read it: chgrp ") || !strings.HasSuffix(hint, " /f; chmod 640 /f") {
		t.Errorf("code %d, hint %q", cli.Code(err), hint)
	}
}
