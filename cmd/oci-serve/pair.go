package main

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"slices"
	"strconv"
	"strings"
	"time"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/pemfile"
)

// loadPair reads a certificate with its chain, in any order, and its key.
func loadPair(certFile, keyFile string) (*tls.Certificate, error) {
	var chain []*x509.Certificate
	key, err := loadKey(keyFile)
	if err == nil {
		chain, _, err = pemfile.Certificates(certFile)
	}
	if err != nil && cli.HintOf(err) == "" {
		err = cli.Hint(err, "name the certificate and its chain with --tls-cert, and the key with --tls-key")
	}
	if err != nil {
		return nil, err
	}
	at := slices.IndexFunc(chain, func(c *x509.Certificate) bool { return belongs(key, c) })
	if at < 0 {
		return nil, cli.Hint(fmt.Errorf("%s is not the key of %s", keyFile, certFile),
			"compare openssl x509 -noout -pubkey -in %s with openssl pkey -pubout -in %s", certFile, keyFile)
	}
	pair := &tls.Certificate{PrivateKey: key, Leaf: chain[at], Certificate: [][]byte{chain[at].Raw}}
	for i, c := range chain {
		if i != at {
			pair.Certificate = append(pair.Certificate, c.Raw)
		}
	}
	return pair, nil
}

// loadKey reads a private key.
func loadKey(file string) (crypto.Signer, error) {
	blocks, err := pemfile.Read(file)
	if err != nil {
		return nil, err
	}
	at := slices.IndexFunc(blocks, func(b *pem.Block) bool { return strings.HasSuffix(b.Type, pemfile.PrivateKey) })
	if at < 0 {
		return nil, fmt.Errorf("%s: no private key in it, only %s", file, blocks[0].Type)
	}
	b := blocks[at]
	if b.Type == "ENCRYPTED PRIVATE KEY" || strings.Contains(b.Headers["Proc-Type"], "ENCRYPTED") {
		return nil, cli.Hint(fmt.Errorf("%s: the key is encrypted", file), "decrypt it: openssl pkey -in %s -out server.key", file)
	}
	key, err := parseKey(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("%s: a %T cannot sign", file, key)
	}
	return signer, nil
}

func parseKey(b *pem.Block) (any, error) {
	switch b.Type {
	case "RSA PRIVATE KEY":
		return x509.ParsePKCS1PrivateKey(b.Bytes)
	case "EC PRIVATE KEY":
		return x509.ParseECPrivateKey(b.Bytes)
	}
	return x509.ParsePKCS8PrivateKey(b.Bytes)
}

// belongs reports whether a certificate belongs to a key.
func belongs(key crypto.Signer, c *x509.Certificate) bool {
	public, ok := c.PublicKey.(interface{ Equal(crypto.PublicKey) bool })
	return ok && public.Equal(key.Public())
}

// unfit returns why clients will reject a certificate. It is served nevertheless:
// the clock may be wrong, and some clients check less than others.
func unfit(leaf *x509.Certificate, now time.Time) (problems []string) {
	const advice = "clients will reject it; replace it, or set the clock (it is %s here)"
	clock := now.UTC().Format(time.RFC3339)
	switch {
	case now.After(leaf.NotAfter):
		problems = append(problems, fmt.Sprintf("the certificate expired on %s, "+advice, leaf.NotAfter.Format(time.DateOnly), clock))
	case now.Before(leaf.NotBefore):
		problems = append(problems, fmt.Sprintf("the certificate is not valid before %s, "+advice, leaf.NotBefore.UTC().Format(time.RFC3339), clock))
	}
	if len(leaf.DNSNames)+len(leaf.IPAddresses) == 0 {
		problems = append(problems, "the certificate has no subject alternative names; clients will reject it")
	}
	return problems
}

// unreadable returns misuse for a flag whose file cannot be read or is invalid, so
// that another start would not help.
func unreadable(flag string, err error) error {
	misuse := cli.Misuse("%s: %w", flag, err)
	e, ok := errors.AsType[*fs.PathError](err)
	if !ok || !errors.Is(err, fs.ErrPermission) {
		return misuse
	}
	group := strconv.Itoa(os.Getegid())
	if g, err := user.LookupGroupId(group); err == nil {
		group = g.Name
	}
	return cli.Hint(misuse, "let oci-serve read it: chgrp %s %s; chmod 640 %[2]s", group, e.Path)
}
