package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"k0rdent-airgap/lib/cli"
)

func openAuto(t *testing.T, storage string, extra ...string) *autoTLS {
	t.Helper()
	a, err := newAutoTLS(context.Background(), storage, extra, false, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// verify checks the certificate as a client does that trusts the CA's file.
func verify(t *testing.T, a *autoTLS, name string, now time.Time) error {
	t.Helper()
	text, err := os.ReadFile(a.caFile())
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(text)
	_, err = a.get().Leaf.Verify(x509.VerifyOptions{DNSName: name, Roots: roots, CurrentTime: now})
	return err
}

func TestAutoTLS(t *testing.T) {
	storage := t.TempDir()
	a := openAuto(t, storage, "Registry.Example.", "192.0.2.9", "2001:db8::9")
	host, _ := os.Hostname()
	for _, name := range []string{"localhost", "127.0.0.1", "::1", host, "registry.example", "192.0.2.9", "2001:db8::9"} {
		if err := verify(t, a, name, time.Now()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if verify(t, a, "other.example", time.Now()) == nil {
		t.Error("the certificate is good for any name")
	}
	ca, _ := os.ReadFile(a.caFile())
	leaf := a.current.Leaf

	again := openAuto(t, storage, "192.0.2.9", "2001:db8::9", "registry.example")
	if !again.current.Leaf.Equal(leaf) {
		t.Error("a restart with the same names made another certificate")
	}
	other := openAuto(t, storage, "new.example")
	if err := verify(t, other, "new.example", time.Now()); err != nil {
		t.Error(err)
	}
	if verify(t, other, "registry.example", time.Now()) == nil {
		t.Error("a removed name is still valid")
	}
	if now, _ := os.ReadFile(a.caFile()); string(now) != string(ca) {
		t.Error("the authority has changed")
	}
	for file, want := range map[string]os.FileMode{"ca.pem": 0o644, "ca.key": 0o600, "server.pem": 0o600} {
		if info, err := os.Stat(filepath.Join(storage, "tls", file)); err != nil || info.Mode() != want {
			t.Errorf("%s: %v, %v, want mode %v", file, info.Mode(), err, want)
		}
	}
}

// A certificate is renewed in time, over and over until the authority ends.
func TestRenewal(t *testing.T) {
	a := openAuto(t, t.TempDir())
	end := a.ca.cert.NotAfter
	first, renewed := a.current, 0
	for now := time.Now(); now.Before(end); now = now.Add(10 * 24 * time.Hour) {
		a.now = func() time.Time { return now }
		if err := verify(t, a, "localhost", now); err != nil {
			t.Fatalf("on %v: %v", now, err)
		}
		if a.current != first {
			first = a.current
			renewed++
		}
	}
	if renewed < 9 || renewed > 20 {
		t.Errorf("%d renewals in ten years", renewed)
	}
}

// If the authority's dates do not fit, the clock may be at fault.
func TestAuthorityAndClock(t *testing.T) {
	now := time.Now()
	for _, made := range []time.Time{now.Add(-11 * 365 * 24 * time.Hour), now.Add(2 * backdate)} {
		storage := t.TempDir()
		dir := filepath.Join(storage, "tls")
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if _, err := openAuthority(dir, "host", nil, made); err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		_, err := newAutoTLS(t.Context(), storage, nil, false, slog.New(slog.NewTextHandler(&out, nil)))
		if made.Before(now) {
			if err == nil || !strings.Contains(err.Error(), "ca.pem expired on ") || !strings.Contains(cli.HintOf(err), "this host's clock reads "+now.UTC().Format(time.DateOnly)) {
				t.Errorf("%v (hint %q), want that it expired", err, cli.HintOf(err))
			}
		} else if err != nil || !strings.Contains(out.String(), "ca.pem is not valid before ") || !strings.Contains(out.String(), "the clock is wrong") {
			t.Errorf("%v and %q, want a warning of the clock", err, out.String())
		}
	}
}

// What a crash or a person may leave in the directory.
func TestAuthorityFiles(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(dir string) error
		err    string
	}{
		{"certificate gone", func(dir string) error { return os.Remove(dir + "/ca.pem") }, ""},
		{"everything gone", os.RemoveAll, ""},
		{"server's truncated", func(dir string) error { return os.Truncate(dir+"/server.pem", 100) }, ""},
		{"key gone", func(dir string) error { return os.Remove(dir + "/ca.key") }, "ca.key is missing"},
		{"truncated key", func(dir string) error { return os.Truncate(dir+"/ca.key", 10) }, "no certificate or key"},
		{"truncated certificate", func(dir string) error { return os.Truncate(dir+"/ca.pem", 10) }, "no certificate or key"},
		{"left by a crash", func(dir string) error {
			return errors.Join(os.Remove(dir+"/ca.pem"), os.Remove(dir+"/server.pem"), os.WriteFile(dir+"/.ca.pem.1.new", nil, 0o600), os.WriteFile(dir+"/.server.pem.2.new", nil, 0o600))
		}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			storage := t.TempDir()
			openAuto(t, storage)
			if err := c.change(storage + "/tls"); err != nil {
				t.Fatal(err)
			}
			a, err := newAutoTLS(context.Background(), storage, nil, false, slog.New(slog.DiscardHandler))
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Errorf("error %v, want %q", err, c.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if err := verify(t, a, "localhost", time.Now()); err != nil {
				t.Error(err)
			}
			if left, _ := filepath.Glob(storage + "/tls/.*"); len(left) > 0 {
				t.Errorf("left: %v", left)
			}
		})
	}
}

// copyPair puts the certificate of another registry's authority in place.
func copyPair(t *testing.T, file string) {
	t.Helper()
	text, err := os.ReadFile(openAuto(t, t.TempDir()).file)
	if err == nil {
		err = os.WriteFile(file, text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestCertFiles(t *testing.T) {
	dir := t.TempDir()
	cert, key := dir+"/cert.pem", dir+"/key.pem"
	copyPair(t, cert)
	copyPair(t, key)
	if _, err := newCertFiles(cert, key, slog.New(slog.DiscardHandler)); err == nil {
		t.Error("a key of another certificate was taken")
	}
	copyPair(t, cert)
	text, _ := os.ReadFile(cert)
	os.WriteFile(key, text, 0o600)
	var log strings.Builder
	c, err := newCertFiles(cert, key, slog.New(&faultHandler{&log}))
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	c.now = func() time.Time { return now }
	get := func() *tls.Certificate {
		now = now.Add(2 * watchEvery)
		return c.get()
	}
	first := get()
	copyPair(t, cert) // half of the way
	if get() != first || !strings.Contains(log.String(), "keeping the old certificate") {
		t.Errorf("with a broken pair, log %q", &log)
	}
	log.Reset()
	if get(); log.Len() > 0 {
		t.Errorf("reported again: %q", &log)
	}
	text, _ = os.ReadFile(cert)
	os.WriteFile(key, text, 0o600)
	if get() == first {
		t.Error("the new pair is not served")
	}
	os.Remove(cert)
	if get() == nil {
		t.Error("no certificate")
	}
}

func TestNameList(t *testing.T) {
	var c config
	fs := c.flags()
	if err := fs.Parse([]string{"--tls-name", "a.example, 10.0.0.1", "--tls-name=*.b.example"}); err != nil || !slices.Equal(c.tlsNames, []string{"a.example", "10.0.0.1", "*.b.example"}) {
		t.Errorf("names %q, %v", c.tlsNames, err)
	}
	fs.SetOutput(io.Discard)
	for _, bad := range []string{"", "a b", "https://a", "a:5000", "a/b", "0.0.0.0", "fe80::1%eth0", "-a", "a..b", strings.Repeat("a", 64)} {
		if err := fs.Set("tls-name", bad); err == nil {
			t.Errorf("--tls-name %q was accepted", bad)
		}
	}
}
