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

// Mirror is a registry of the site for containerd to pull from.
type Mirror struct {
	Scheme        string // "https", or "http" if requested
	Host          string // HOST[:PORT], lower case, an IPv6 address in brackets
	Prefix        string // path before every repository, without slashes at its ends; may be empty
	CA            []byte // PEM; empty: only the host's trusted authorities
	Authorization string // value of that header; empty: no login
}

// ParseMirror parses [https://]HOST[:PORT][/PREFIX], or http:// for a mirror
// without TLS. Its error does not repeat s, which may contain a password.
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
	// containerd's files need the API's path; people write the prefix.
	if m.Prefix == "v2" || strings.HasPrefix(m.Prefix, "v2/") {
		return errors.New("omit the path of the registry's API, /v2")
	}
	return nil
}

func (m Mirror) site() ref.Site { return ref.Site{Host: m.Host, Prefix: m.Prefix} }

// String returns the mirror without secrets.
func (m Mirror) String() string { return strings.TrimSuffix(m.Scheme+"://"+m.Host+"/"+m.Prefix, "/") }

// BasicAuth returns the Authorization header for a user and a password (RFC 7617).
func BasicAuth(user, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}

// The vendor's own registry keeps under this path what a site's registry keeps
// under the prefix that it was pushed with.
const (
	vendorHost = "registry.mirantis.com"
	vendorPath = "k0rdent-enterprise"
)

// For returns the mirror with the prefix of the images of a registry. containerd
// removes the registry's name from a reference, keeps the path, and puts the prefix
// before it. A mirror's own images already have the prefix in their path, so they
// are requested without it, and so are the vendor's if the prefix ends with the
// path that they all share.
func (m Mirror) For(host string) Mirror {
	switch {
	case slices.Contains(m.names(), host):
		m.Prefix = ""
	case host == vendorHost && path.Base(m.Prefix) == vendorPath:
		m.Prefix = strings.TrimSuffix(strings.TrimSuffix(m.Prefix, vendorPath), "/")
	}
	return m
}

// names returns the spellings of the mirror's own name in a reference: with and
// without the scheme's default port, for which containerd has separate directories.
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

// root returns the URL of the registry's API below the prefix, and whether it has a
// path, to which containerd must not add anything.
func (m Mirror) root() (url string, override bool) {
	url = m.Scheme + "://" + m.Host
	if m.Prefix == "" {
		return url, false
	}
	return url + "/v2/" + m.Prefix, true
}

// certificates returns only the certificates of a PEM text, without a private key
// that a file may also contain.
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
