package k0s

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"path"
	"slices"
	"strings"

	"k0rdent-airgap/lib/ref"
)

// Mirror is a registry of the site from which containerd is to pull.
type Mirror struct {
	Scheme        string // "https", or "http" if that was asked for
	Host          string // HOST[:PORT], lower case, an IPv6 address in brackets
	Prefix        string // path before every repository, no slashes around it; may be empty
	CA            []byte // PEM; empty: the authorities that the host trusts anyway
	Authorization string // value of that header; empty: no login
}

// ParseMirror parses [https://]HOST[:PORT][/PREFIX], or http:// for a mirror
// without TLS. Its error does not repeat s, in which a password may be.
func ParseMirror(s string) (Mirror, error) {
	scheme, rest, found := strings.Cut(s, "://")
	if !found {
		scheme, rest = "https", s
	}
	site, err := ref.ParseSite(rest)
	m := Mirror{Scheme: scheme, Host: strings.ToLower(site.Host), Prefix: site.Prefix}
	if err == nil {
		err = m.check()
	}
	if err != nil {
		return Mirror{}, err
	}
	return m, nil
}

func (m Mirror) check() error {
	if m.Scheme != "https" && m.Scheme != "http" {
		return errors.New("must be https://HOST[:PORT][/PREFIX]")
	}
	if err := checkHost(m.Host); err != nil {
		return err
	}
	if _, err := ref.ParseSite(m.site().String()); err != nil {
		return err
	}
	// The path of the API is what containerd wants to know; people give the
	// prefix.
	if m.Prefix == "v2" || strings.HasPrefix(m.Prefix, "v2/") {
		return errors.New("the path of the registry's API, /v2, is left out")
	}
	return nil
}

func (m Mirror) site() ref.Site { return ref.Site{Host: m.Host, Prefix: m.Prefix} }

// String returns the mirror as a person writes it, without what is secret.
func (m Mirror) String() string { return strings.TrimSuffix(m.Scheme+"://"+m.Host+"/"+m.Prefix, "/") }

// BasicAuth returns the value of Authorization for a user and a password (RFC
// 7617).
func BasicAuth(user, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}

// The vendor's own registry holds under this path what a site's registry
// holds under the prefix that it was pushed with.
const (
	vendorHost = "registry.mirantis.com"
	vendorPath = "k0rdent-enterprise"
)

// For returns the mirror with the prefix at which it holds the images of a
// registry. containerd drops the registry's name from a reference, keeps the
// path, and puts the prefix before it. So a mirror's own images, whose path
// has the prefix already, are asked for without, and so are the vendor's
// where the prefix ends with the path that they all have.
func (m Mirror) For(host string) Mirror {
	switch {
	case slices.Contains(m.names(), host):
		m.Prefix = ""
	case host == vendorHost && path.Base(m.Prefix) == vendorPath:
		m.Prefix = strings.TrimSuffix(strings.TrimSuffix(m.Prefix, vendorPath), "/")
	}
	return m
}

// names returns the spellings of the mirror's own name in a reference: with the
// scheme's own port and without it, these are directories of their own.
func (m Mirror) names() []string {
	port := map[string]string{"https": ":443", "http": ":80"}[m.Scheme]
	if short, found := strings.CutSuffix(m.Host, port); found {
		return []string{short, m.Host}
	}
	if strings.HasPrefix(m.Host, "[") && strings.HasSuffix(m.Host, "]") || !strings.Contains(m.Host, ":") {
		return []string{m.Host, m.Host + port}
	}
	return []string{m.Host}
}

// root returns the URL of the registry's API below the prefix, and whether it
// has a path, to which containerd must be told to add nothing.
func (m Mirror) root() (url string, override bool) {
	url = m.Scheme + "://" + m.Host
	if m.Prefix == "" {
		return url, false
	}
	return url + "/v2/" + m.Prefix, true
}

// certificates returns the certificates of a PEM text and nothing else of it,
// such as a key that stands beside them in a file that only root may read.
func certificates(text []byte) ([]byte, error) {
	var out bytes.Buffer
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		if _, err := x509.ParseCertificate(block.Bytes); err != nil {
			return nil, err
		}
		if err := pem.Encode(&out, &pem.Block{Type: block.Type, Bytes: block.Bytes}); err != nil {
			return nil, err
		}
	}
	if out.Len() == 0 {
		return nil, errors.New("it contains no PEM certificate")
	}
	return out.Bytes(), nil
}
