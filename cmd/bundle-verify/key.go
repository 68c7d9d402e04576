package main

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"k0rdent-airgap/lib/bundle"
	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/pemfile"
	"k0rdent-airgap/lib/textfile"
)

const (
	keyTimeout = 30 * time.Second
	redirects  = 10
	rsaBits    = 2048 // the shortest RSA key that is accepted, as in cosign
	maxKeys    = 16   // in one file; each may add a hash of the file to verify
)

// A key is a public key of a type that cosign supports.
type key struct {
	public      crypto.PublicKey
	name        string            // "ECDSA P-256"
	fingerprint string            // "sha256:…" of the key's PKIX DER form
	certificate *x509.Certificate // that it came from; nil for a bare key
}

// isURL reports whether a key must be fetched.
func isURL(name string) bool {
	return strings.HasPrefix(name, "https://") || strings.HasPrefix(name, "http://")
}

// loadKeys reads the keys in name, a file or a URL: a vendor that rotates keys
// publishes the old one and the new one together.
func loadKeys(ctx context.Context, name string) ([]*key, error) {
	var content []byte
	var err error
	if isURL(name) {
		content, err = fetch(ctx, name)
	} else {
		if format := formatOf(name); format != "" {
			return nil, cli.Hint(fmt.Errorf("key: %s: a %s, not a key", name, format), "are --key and the file to verify swapped?")
		}
		content, err = textfile.Bytes(name)
	}
	if err != nil {
		return nil, cli.Hint(fmt.Errorf("key: %w", err), "copy the vendor's public key to the site as a file, and name it with --key")
	}
	keys, err := parseKeys(name, content)
	if err != nil {
		return nil, fmt.Errorf("key: %w", err)
	}
	return keys, nil
}

// formatOf returns the format of a bundle, or "" for any other file. It does
// not read from a pipe, which cannot be read again.
func formatOf(name string) string {
	if info, err := os.Stat(name); err != nil || !info.Mode().IsRegular() {
		return ""
	}
	f, err := os.Open(name)
	if err != nil {
		return ""
	}
	defer f.Close()
	head, _ := io.ReadAll(io.LimitReader(f, headSize))
	return bundle.FormatOf(head)
}

// fetch gets a key from a web server.
func fetch(ctx context.Context, url string) ([]byte, error) {
	if err := cli.CheckProxies(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, keyTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	client := &http.Client{CheckRedirect: redirect}
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("get %s: %s", url, response.Status)
	}
	return textfile.BytesOf(response.Body)
}

// redirect allows redirects, but never from https to http.
func redirect(next *http.Request, via []*http.Request) error {
	switch {
	case via[0].URL.Scheme == "https" && next.URL.Scheme != "https":
		return errors.New("redirected to plain HTTP")
	case len(via) >= redirects:
		return fmt.Errorf("more than %d redirects", redirects)
	}
	return nil
}

// parseKeys parses the public keys and certificates of a file.
func parseKeys(name string, content []byte) ([]*key, error) {
	blocks, err := pemfile.Blocks(name, content)
	if errors.Is(err, pemfile.ErrNone) {
		err = notAKey(name, content, err)
	}
	if err != nil {
		return nil, err
	}
	var keys []*key
	private := false
	for _, block := range blocks {
		k := &key{}
		var err error
		switch {
		case block.Type == pemfile.PublicKey:
			k.public, err = x509.ParsePKIXPublicKey(block.Bytes)
		case block.Type == pemfile.RSAPublicKey:
			k.public, err = x509.ParsePKCS1PublicKey(block.Bytes)
		case block.Type == pemfile.Certificate:
			if k.certificate, err = x509.ParseCertificate(block.Bytes); err == nil {
				k.public = k.certificate.PublicKey
			}
		default:
			private = private || strings.HasSuffix(block.Type, pemfile.PrivateKey)
			continue
		}
		if err == nil {
			err = k.describe()
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if keys = append(keys, k); len(keys) > maxKeys {
			return nil, fmt.Errorf("%s: more than %d keys", name, maxKeys)
		}
	}
	switch {
	case len(keys) > 0:
		return keys, nil
	case private:
		return nil, cli.Hint(fmt.Errorf("%s: a private key", name), "give the public key that belongs to it")
	}
	return nil, fmt.Errorf("%s: no public key in it", name)
}

// describe fills the name and the fingerprint, and refuses what cosign does
// not sign with.
func (k *key) describe() error {
	switch p := k.public.(type) {
	case *ecdsa.PublicKey:
		k.name = "ECDSA " + p.Params().Name
		if p.Curve != elliptic.P256() && p.Curve != elliptic.P384() && p.Curve != elliptic.P521() {
			return fmt.Errorf("wrong key type: %s; must be ECDSA P-256, P-384 or P-521, RSA or Ed25519", k.name)
		}
	case *rsa.PublicKey:
		k.name = fmt.Sprintf("RSA %d", p.N.BitLen())
		if p.N.BitLen() < rsaBits {
			return fmt.Errorf("wrong key type: %s is too short; must have %d bits or more", k.name, rsaBits)
		}
	case ed25519.PublicKey:
		k.name = "Ed25519"
		// The module needs the whole file in memory.
		if err := cli.Approved("Ed25519 of a stream", "use an ECDSA or RSA key"); err != nil {
			return err
		}
	default:
		return fmt.Errorf("wrong key type: %T; must be ECDSA, RSA or Ed25519", k.public)
	}
	der, err := x509.MarshalPKIXPublicKey(k.public)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(der)
	k.fingerprint = "sha256:" + hex.EncodeToString(sum[:])
	return nil
}
