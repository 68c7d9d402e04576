package main

import (
	"crypto/x509"
	"encoding/pem"
	"slices"
	"testing"
	"time"
)

// An authority that is constrained signs for the names that it was made for, and
// clients believe it no others.
func TestConstrain(t *testing.T) {
	only := namesIn([]string{"*.apps.example", "registry.example", "192.0.2.1", "2001:db8::1"})
	ca, err := openAuthority(t.TempDir(), "host", only, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	all := namesIn([]string{"*.apps.example", "a.registry.example", "other.example", "registry.example", "xregistry.example",
		"192.0.2.1", "192.0.2.2", "2001:db8::1"})
	own, foreign := permitted(ca.cert, all)
	if want := (names{"192.0.2.2", "other.example", "xregistry.example"}); !slices.Equal(foreign, want) {
		t.Errorf("foreign %q, want %q", foreign, want)
	}
	verify := func(n names, host string) error {
		text, err := ca.issue(n, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		block, _ := pem.Decode(text)
		pair, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		roots := x509.NewCertPool()
		roots.AddCert(ca.cert)
		_, err = pair.Verify(x509.VerifyOptions{Roots: roots, DNSName: host})
		return err
	}
	for _, host := range []string{"registry.example", "a.registry.example", "x.apps.example", "192.0.2.1", "2001:db8::1"} {
		if err := verify(own, host); err != nil {
			t.Errorf("%s: %v", host, err)
		}
	}
	if err := verify(all, "registry.example"); err == nil {
		t.Error("a certificate for other names as well was believed")
	}
	free, err := openAuthority(t.TempDir(), "host", nil, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if own, foreign := permitted(free.cert, all); len(foreign) > 0 || !slices.Equal(own, all) {
		t.Errorf("an authority without constraints may not sign for %q", foreign)
	}
}
