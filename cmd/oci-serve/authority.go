package main

import (
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
	"math/big"
	"os"
	"path/filepath"
	"time"

	"k0rdent-airgap/lib/cli"
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
	key  *ecdsa.PrivateKey
}

// openAuthority reads the authority in a directory, or creates it. It never
// replaces one, since every node trusts the old certificate.
func openAuthority(dir, host string, only *names, now time.Time) (*authority, error) {
	certFile, keyFile := filepath.Join(dir, "ca.pem"), filepath.Join(dir, "ca.key")
	key, err := readKey(keyFile)
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Lstat(certFile); err == nil {
			return nil, cli.Hint(fmt.Errorf("%s is missing", keyFile),
				"restore it, or remove ca.pem next to it and distribute the new one to every client")
		}
		key, err = makeKey(keyFile)
	}
	if err != nil {
		return nil, err
	}
	cert, err := readCert(certFile)
	if errors.Is(err, fs.ErrNotExist) { // new, or a crash came between key and certificate
		cert, err = makeAuthority(certFile, key, host, only, now)
	}
	if err != nil {
		return nil, err
	}
	if !key.PublicKey.Equal(cert.PublicKey) {
		return nil, fmt.Errorf("%s is not the key of %s", keyFile, certFile)
	}
	if now.After(cert.NotAfter) {
		return nil, cli.Hint(fmt.Errorf("%s expired on %s", certFile, cert.NotAfter.Format(time.DateOnly)),
			`this host's clock reads %s: if that is wrong, set it ("timedatectl"); otherwise remove the file, and distribute the new one to every client`, now.UTC().Format(time.RFC3339))
	}
	return &authority{cert, key}, nil
}

// makeAuthority creates the authority's certificate. It can sign certificates of
// servers only, not of other authorities, and unless only is nil, only for those
// names; docs/decisions has the reason why that is not the default.
func makeAuthority(file string, key *ecdsa.PrivateKey, host string, only *names, now time.Time) (*x509.Certificate, error) {
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return nil, err
	}
	// Its name differs from those of other registries, since a client that knows
	// several authorities looks them up by name.
	id := sha256.Sum256(public)
	template := &x509.Certificate{
		SerialNumber:          serial(),
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
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	if err := writeFile(file, encode(pemfile.Certificate, der), 0o644); err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// issue returns a new certificate for a server's names, followed by its key, in
// PEM.
func (a *authority) issue(names names, now time.Time) ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial(),
		Subject:      pkix.Name{CommonName: "oci-serve"},
		NotBefore:    now.Add(-backdate),
		NotAfter:     now.Add(leafLife),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames:     names.dns,
		IPAddresses:  names.addresses(),
	}
	if template.NotAfter.After(a.cert.NotAfter) {
		template.NotAfter = a.cert.NotAfter
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key)
	if err != nil {
		return nil, err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return append(encode(pemfile.Certificate, der), encode(pemfile.PrivateKey, private)...), nil
}

func serial() *big.Int {
	b := make([]byte, 16)
	rand.Read(b) // never fails
	b[0] &= 0x7f // positive, RFC 5280, section 4.1.2.2
	return new(big.Int).SetBytes(b)
}

func encode(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

func makeKey(file string) (*ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return key, writeFile(file, encode(pemfile.PrivateKey, der), 0o600)
}

func readKey(file string) (*ecdsa.PrivateKey, error) {
	der, err := readBlock(file, pemfile.PrivateKey)
	if err != nil {
		return nil, err
	}
	parsed, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("%s: must be an ECDSA key", file)
	}
	return key, nil
}

func readCert(file string) (*x509.Certificate, error) {
	der, err := readBlock(file, pemfile.Certificate)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return cert, nil
}

func readBlock(file, kind string) ([]byte, error) {
	blocks, err := pemfile.Read(file)
	if err != nil {
		return nil, err
	}
	if blocks[0].Type != kind {
		return nil, fmt.Errorf("%s: a %s, not a %s", file, blocks[0].Type, kind)
	}
	return blocks[0].Bytes, nil
}

// tlsTemp is the prefix of the files that writeFile has not renamed yet.
const tlsTemp = ".new-"

// writeFile replaces a file atomically: after a crash it has its old or its new
// content.
func writeFile(file string, data []byte, mode fs.FileMode) (err error) {
	f, err := os.CreateTemp(filepath.Dir(file), tlsTemp+"*") // mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	_, err = f.Write(data)
	if err == nil {
		err = f.Chmod(mode)
	}
	if err == nil {
		err = f.Sync()
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Rename(f.Name(), file)
	}
	if err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(file))
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}
