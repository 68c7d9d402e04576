package ref

import (
	"errors"
	"net"
	"strings"
)

// A Site is where the images of a site are: a registry, and the path in it that
// stands before every repository.
type Site struct {
	Host   string // HOST[:PORT]
	Prefix string // without slashes around it; may be empty
}

const siteForm = "must be HOST[:PORT][/PREFIX]"

// Two mistakes that have a remedy of their own. No error repeats a text that may
// have a password in it.
var (
	ErrLogin  = errors.New("no user name or password in the address")
	ErrScheme = errors.New(siteForm)
)

// ParseSite parses HOST[:PORT][/PREFIX]. A slash at its end means nothing.
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

// Repository returns the registry's own name for a repository of the site.
func (s Site) Repository(name string) string {
	if s.Prefix == "" {
		return name
	}
	return s.Prefix + "/" + name
}

// Loopback reports whether a host with or without a port is this machine, where
// nobody can listen in and HTTP does no harm.
func Loopback(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	ip := net.ParseIP(strings.Trim(host, "[]"))
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
