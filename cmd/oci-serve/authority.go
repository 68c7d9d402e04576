package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/hostfile"
	"k0rdent-airgap/lib/pemfile"
)

const (
	authorityLife = 10 * 365 * 24 * time.Hour
	// leafLife is below 398 days, the limit of the strictest clients.
	leafLife = 397 * 24 * time.Hour
	// backdate lets hosts whose clock is behind trust a new certificate.
	backdate = 24 * time.Hour
)

// authority is the certificate authority of a registry.
type authority struct {
	cert *x509.Certificate
	key  crypto.Signer
}

// openAuthority reads the authority in a directory, or creates it. It never
// replaces one, since every node trusts the old certificate.
func openAuthority(dir, host string, only names, now time.Time) (*authority, error) {
	certFile, keyFile := filepath.Join(dir, "ca.pem"), filepath.Join(dir, "ca.key")
	hasCert, hasKey := exists(certFile), exists(keyFile)
	if hasCert && !hasKey {
		return nil, cli.Hint(fmt.Errorf("%s is missing", keyFile),
			"restore it, or remove ca.pem next to it and distribute the new one to every client")
	}
	if !hasKey {
		_, text, err := newKey()
		if err != nil {
			return nil, err
		}
		if _, err := hostfile.Put(keyFile, 0o600, text); err != nil {
			return nil, err
		}
	}
	key, err := loadKey(keyFile)
	if err != nil {
		return nil, err
	}
	if !hasCert { // new, or a crash came between key and certificate
		if err := makeAuthority(certFile, key, host, only, now); err != nil {
			return nil, err
		}
	}
	chain, _, err := pemfile.Certificates(certFile)
	if err != nil {
		return nil, err
	}
	cert := chain[0]
	if !belongs(key, cert) {
		return nil, fmt.Errorf("%s is not the key of %s", keyFile, certFile)
	}
	if now.After(cert.NotAfter) {
		return nil, cli.Hint(fmt.Errorf("%s expired on %s", certFile, cert.NotAfter.Format(time.DateOnly)),
			`this host's clock reads %s: if that is wrong, set it ("timedatectl"); otherwise remove the file, and distribute the new one to every client`, now.UTC().Format(time.RFC3339))
	}
	return &authority{cert, key}, nil
}

// exists reports whether there is such a file, or possibly one.
func exists(file string) bool {
	_, err := os.Lstat(file)
	return !errors.Is(err, fs.ErrNotExist)
}

// makeAuthority creates the authority's certificate. It can sign certificates of
// servers only, not of other authorities, and unless only is nil, only for those
// names; docs/decisions has the reason why that is not the default.
func makeAuthority(file string, key crypto.Signer, host string, only names, now time.Time) error {
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return err
	}
	// Its name differs from those of other registries, since a client that knows
	// several authorities looks them up by name.
	id := sha256.Sum256(public)
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: fmt.Sprintf("oci-serve CA %s %x", host, id[:4])},
		NotBefore:             now.Add(-backdate),
		NotAfter:              now.Add(authorityLife),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,
		SubjectKeyId:          id[:20],
	}
	constrain(template, only)
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err == nil {
		_, err = hostfile.Put(file, 0o644, encode(pemfile.Certificate, der))
	}
	return err
}

// issue returns a new certificate for a server's names, followed by its key, in
// PEM.
func (a *authority) issue(names names, now time.Time) ([]byte, error) {
	key, private, err := newKey()
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		Subject:     pkix.Name{CommonName: "oci-serve"},
		NotBefore:   now.Add(-backdate),
		NotAfter:    now.Add(leafLife),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	template.DNSNames, template.IPAddresses = names.split()
	if template.NotAfter.After(a.cert.NotAfter) {
		template.NotAfter = a.cert.NotAfter
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		return nil, err
	}
	return append(encode(pemfile.Certificate, der), private...), nil
}

// newKey returns a new private key, and the same in PEM.
func newKey() (crypto.Signer, []byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	return key, encode(pemfile.PrivateKey, der), err
}

func encode(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}
