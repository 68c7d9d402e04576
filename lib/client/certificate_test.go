package client

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k0rdent-airgap/lib/cli"
)

// authority makes certificates for the tests.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T, name string) authority {
	return authorityOf(t, name, -time.Hour, time.Hour)
}

// authorityOf makes an authority that is valid from and until then.
func authorityOf(t *testing.T, name string, from, until time.Duration) authority {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	a := authority{&x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(from), NotAfter: time.Now().Add(until), KeyUsage: x509.KeyUsageCertSign,
	}, key}
	raw, err := x509.CreateCertificate(rand.Reader, a.cert, a.cert, key.Public(), key)
	if err == nil {
		a.cert, err = x509.ParseCertificate(raw)
	}
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func (a authority) file(t *testing.T) string {
	path := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// serve runs a registry with a certificate for names, valid from and until then.
func (a authority) serve(t *testing.T, from, until time.Duration, names ...string) (host string) {
	c := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "registry"},
		NotBefore: time.Now().Add(from), NotAfter: time.Now().Add(until), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, n := range names {
		if ip := net.ParseIP(n); ip != nil {
			c.IPAddresses = append(c.IPAddresses, ip)
		} else {
			c.DNSNames = append(c.DNSNames, n)
		}
	}
	raw, err := x509.CreateCertificate(rand.Reader, c, a.cert, a.key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(handler(t, nil))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{raw}, PrivateKey: a.key}}}
	s.StartTLS()
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// The error names the certificate's fault and its remedy.
func TestCertificates(t *testing.T) {
	ours, theirs := newAuthority(t, "ours"), newAuthority(t, "theirs")
	good := ours.serve(t, -time.Minute, time.Hour, "127.0.0.1")
	file := theirs.file(t)
	plain := serve(t, nil)
	past, next := authorityOf(t, "past", -2*time.Hour, -time.Hour), authorityOf(t, "next", time.Hour, 2*time.Hour)
	for _, tt := range []struct {
		name, want, hint string
		o                Options
	}{
		{"no authority given", `its certificate is signed by an unknown authority (issued by "CN=ours")`, "--ca FILE", Options{At: good}},
		{"another authority", `the authority in ` + file + ` did not sign its certificate (issued by "CN=ours")`, "tls/ca.pem", Options{At: good, CAFile: file}},
		{"other names", "its certificate is for registry.site, 10.0.0.5, not for 127.0.0.1", "--tls-name 127.0.0.1",
			Options{At: ours.serve(t, -time.Minute, time.Hour, "registry.site", "10.0.0.5"), CAFile: ours.file(t)}},
		{"expired", "its certificate expired on ", "clock", Options{At: ours.serve(t, -time.Hour, -time.Minute, "127.0.0.1"), CAFile: ours.file(t)}},
		{"not yet valid", "its certificate is not valid before ", "clock", Options{At: ours.serve(t, time.Hour, 2*time.Hour, "127.0.0.1"), CAFile: ours.file(t)}},
		{"expired authority", `the certificate of its authority "CN=past" expired on `, "clock", Options{At: past.serve(t, -time.Hour, time.Hour, "127.0.0.1"), CAFile: past.file(t)}},
		{"authority not yet valid", `the certificate of its authority "CN=next" is not valid before `, "clock", Options{At: next.serve(t, -time.Hour, time.Hour, "127.0.0.1"), CAFile: next.file(t)}},
		{"HTTP asked for", `the registry speaks HTTPS, and its certificate is signed by an unknown authority`, "remove --plain-http", Options{At: good, PlainHTTP: true}},
		{"good", "", "", Options{At: good, CAFile: ours.file(t)}},
		{"good, though HTTP is allowed", "", "", Options{At: good, CAFile: ours.file(t), PlainHTTP: true}},
		{"plain", "", "", Options{At: plain}},
	} {
		err := prepare(t, tt.o).Connect(t.Context())
		if tt.want == "" {
			if err != nil {
				t.Errorf("%s: %v", tt.name, err)
			}
			continue
		}
		if err == nil || !strings.HasPrefix(err.Error(), tt.want) || cli.Code(err) != cli.CodeFailed || !strings.Contains(cli.HintOf(err), tt.hint) {
			t.Errorf("%s: %v (code %d, hint %q), want %s and the hint %s", tt.name, err, cli.Code(err), cli.HintOf(err), tt.want, tt.hint)
		}
	}
}
