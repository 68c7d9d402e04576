package ref

import (
	"errors"
	"net"
	"strings"
)

// A Site is where a site keeps its images: a registry, and the path in it before every
// repository.
type Site struct {
	Host   string // HOST[:PORT]
	Prefix string // without slashes at its ends; may be empty
}

const siteForm = "must be HOST[:PORT][/PREFIX]"

// Two mistakes with a hint of their own. No error repeats a text that may contain a
// password.
var (
	ErrLogin  = errors.New("no user name or password in the address")
	ErrScheme = errors.New(siteForm)
)

// ParseSite parses HOST[:PORT][/PREFIX]. A trailing slash is ignored.
func ParseSite(s string) (Site, error) {
	host, prefix, below := strings.Cut(strings.TrimSuffix(s, "/"), "/")
	switch {
	case strings.Contains(s, "@"):
		return Site{}, ErrLogin
	case strings.Contains(s, "://"):
		return Site{}, ErrScheme
	case host == "":
		return Site{}, errors.New(siteForm)
	}
	if err := CheckHost(host); err != nil {
		return Site{}, err
	}
	if below {
		if err := checkPath("prefix", prefix); err != nil {
			return Site{}, err
		}
	}
	return Site{host, prefix}, nil
}

// String returns HOST[:PORT][/PREFIX].
func (s Site) String() string {
	if s.Host == "" || s.Prefix == "" {
		return s.Host
	}
	return s.Host + "/" + s.Prefix
}

// Repository returns the full name of one of the site's repositories in the registry.
func (s Site) Repository(name string) string {
	if s.Prefix == "" {
		return name
	}
	return s.Prefix + "/" + name
}

// Loopback reports whether a host, with or without a port, is this machine, where
// nobody can listen in and HTTP is safe.
func Loopback(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	ip := net.ParseIP(strings.Trim(host, "[]"))
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
