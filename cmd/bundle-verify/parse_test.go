package main

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"hash"
	"io"
	"math/rand"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// holds reports whether any scheme verifies the message, as verify does.
func holds(k *key, sig, message []byte) bool {
	for _, s := range schemes(k, sig) {
		h := s.start()
		h.Write(message)
		if s.holds(h.Sum(nil)) {
			return true
		}
	}
	return false
}

// keys are the public keys of the test vectors.
func keys(t testing.TB) map[string]*key {
	t.Helper()
	found := map[string]*key{}
	for _, name := range []string{"p256", "p384", "p521", "rsa2048", "rsa4096", "ed25519"} {
		content, err := os.ReadFile(data + name + ".pub")
		if err != nil {
			t.Fatal(err)
		}
		all, err := parseKeys(name, content)
		if err != nil {
			t.Fatal(err)
		}
		found[name] = all[0]
	}
	return found
}

// library verifies with only the standard library, given the whole message.
func library(k *key, message, sig []byte) bool {
	s256, s384, s512 := sha256.Sum256(message), sha512.Sum384(message), sha512.Sum512(message)
	switch p := k.public.(type) {
	case *ecdsa.PublicKey:
		return ecdsa.VerifyASN1(p, s256[:], sig) || ecdsa.VerifyASN1(p, s384[:], sig) || ecdsa.VerifyASN1(p, s512[:], sig)
	case *rsa.PublicKey:
		return rsa.VerifyPKCS1v15(p, crypto.SHA256, s256[:], sig) == nil
	case ed25519.PublicKey:
		return ed25519.Verify(p, message, sig) || ed25519.VerifyWithOptions(p, s512[:], sig, &ed25519.Options{Hash: crypto.SHA512}) == nil
	}
	return false
}

// No signature file crashes the parser, and a signature is good only if the standard
// library accepts the bytes that were parsed.
func FuzzSignature(f *testing.F) {
	for _, pattern := range []string{"v2/*", "v3/*", "*.sig", "empty"} {
		files, _ := filepath.Glob(data + pattern)
		for _, name := range files {
			content, err := os.ReadFile(name)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(content)
		}
	}
	message, err := os.ReadFile(data + "bundle.tgz")
	if err != nil {
		f.Fatal(err)
	}
	all := keys(f)
	f.Fuzz(func(t *testing.T, content []byte) {
		s, err := parseSignature(content)
		if err != nil {
			return
		}
		for name, k := range all {
			sig, err := s.fit(k)
			if err != nil {
				continue
			}
			if got, want := holds(k, sig, message), library(k, message, sig); got != want {
				t.Errorf("%s: good is %v, want %v", name, got, want)
			}
		}
	})
}

// Whatever a bundle says, its signature is one of the byte strings in it, and nothing
// in it makes a file good that was not signed.
func FuzzBundle(f *testing.F) {
	for _, pattern := range []string{"v2/*.bundle", "v2/*.json", "v3/*.bundle", "v3/*.json"} {
		files, _ := filepath.Glob(data + pattern)
		for _, name := range files {
			content, err := os.ReadFile(name)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(content)
		}
	}
	f.Add([]byte(`{"base64Signature":"AA==","cert":"LS0t","rekorBundle":null}`))
	f.Add([]byte(`{"mediaType":"application/vnd.dev.sigstore.bundle","messageSignature":{"signature":"AA=="},"verificationMaterial":{"x509CertificateChain":{"certificates":[{"rawBytes":"MA=="}]}}}`))
	all := keys(f)
	f.Fuzz(func(t *testing.T, content []byte) {
		s, err := parseBundle(content)
		if err != nil {
			return
		}
		if len(s.forms) != 1 || len(s.forms[0]) == 0 || s.key != "" && len(s.key) != 71 {
			t.Fatalf("%+v", s)
		}
		for name, k := range all {
			if sig, err := s.fit(k); err == nil && holds(k, sig, []byte("never signed")) {
				t.Errorf("%s: good", name)
			}
		}
	})
}

// Streaming Ed25519 agrees with the standard library on the whole message.
func FuzzEd25519(f *testing.F) {
	f.Add([]byte("seed"), []byte("message"), 0, byte(0))
	f.Add([]byte("seed"), []byte("message"), 3, byte(1))
	f.Add([]byte("seed"), []byte("message"), 63, byte(0xf0))
	f.Add([]byte("seed"), []byte(""), 70, byte(1))
	f.Fuzz(func(t *testing.T, seed, message []byte, at int, flip byte) {
		sum := sha256.Sum256(seed)
		private := ed25519.NewKeyFromSeed(sum[:])
		both := append(ed25519.Sign(private, message), private.Public().(ed25519.PublicKey)...)
		both[uint(at)%uint(len(both))] ^= flip
		sig, public := both[:64], ed25519.PublicKey(both[64:])
		h := sha512.New()
		for _, part := range [][]byte{sig[:32], public, message} {
			h.Write(part)
		}
		if got, want := ed25519Holds(public, h.Sum(nil), sig), ed25519.Verify(public, message, sig); got != want || want != (flip == 0) {
			t.Errorf("%x %x: %v, want %v", public, sig, got, want)
		}
	})
}

// A binary signature may begin and end with any bytes, including those of JSON, HTML
// and white space.
func TestBinaryBytes(t *testing.T) {
	for first := range 256 {
		sig := make([]byte, 64)
		sig[0], sig[1], sig[63] = byte(first), 0xff, byte(first)
		s, err := parseSignature(sig)
		if err != nil {
			t.Errorf("%#x: %v", first, err)
			continue
		}
		if got, err := s.fit(&key{public: make(ed25519.PublicKey, 32)}); err != nil || !bytes.Equal(got, sig) {
			t.Errorf("%#x: %x, %v", first, got, err)
		}
	}
}

// cosign uses Ed25519ph with a transparency log.
func TestEd25519ph(t *testing.T) {
	private := ed25519.NewKeyFromSeed(make([]byte, 32))
	message := []byte("message")
	sum := sha512.Sum512(message)
	sig, err := private.Sign(nil, sum[:], &ed25519.Options{Hash: crypto.SHA512})
	k := &key{public: private.Public()}
	if err != nil || !holds(k, sig, message) || holds(k, sig, []byte("massage")) {
		t.Errorf("%v", err)
	}
}

// Reading ahead passes every byte to the hashes once and in order, however the bytes
// arrive.
func TestBlocks(t *testing.T) {
	content := make([]byte, 3*blockSize+17)
	rand.New(rand.NewSource(1)).Read(content)
	for _, size := range []int{0, 1, blockSize - 1, blockSize, blockSize + 1, len(content)} {
		hashes := []hash.Hash{sha256.New(), sha512.New(), sha256.New()}
		err := each(t.Context(), &pieces{bytes.NewReader(content[:size])}, func(block []byte) { feed(hashes, block) })
		if err != nil {
			t.Fatal(err)
		}
		want256, want512 := sha256.Sum256(content[:size]), sha512.Sum512(content[:size])
		if !bytes.Equal(hashes[0].Sum(nil), want256[:]) || !bytes.Equal(hashes[1].Sum(nil), want512[:]) || !bytes.Equal(hashes[2].Sum(nil), want256[:]) {
			t.Errorf("%d bytes: wrong sum", size)
		}
	}
}

// pieces reads a little at a time, as a pipe does.
type pieces struct{ r *bytes.Reader }

func (p *pieces) Read(b []byte) (int, error) { return p.r.Read(b[:min(len(b), 65537)]) }

// Memory use does not depend on the size of the file.
func TestMemory(t *testing.T) {
	allocated := func(size int64) uint64 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		runs(t, io.LimitReader(zeros{}, size), "--digest", "sha256:"+strings.Repeat("0", 64), "-")
		runtime.ReadMemStats(&after)
		return after.TotalAlloc - before.TotalAlloc
	}
	if small, large := allocated(1), allocated(256<<20); large > small+1<<20 || large > 8<<20 {
		t.Errorf("%d bytes for 1 byte, %d for 256 MiB", small, large)
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { return len(b), nil }
