// Package ref has the types and parsers for names in a registry: the repository, the
// tag, the digest, the reference made of them, the site (a registry and the prefix
// below which a site keeps everything), and the names of a bundle's entries. Each has
// one grammar and one parser.
//
// Where runtimes and registries differ, the stricter rule applies, so that what was
// pushed can be pulled. Everything in this package is a pure function.
package ref

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
)

// ErrInvalid is wrapped by every error about a text.
var ErrInvalid = errors.New("invalid reference")

// problem is the error for a text that breaks the rules for its kind.
type problem struct{ what, value, rule string }

func (e *problem) Error() string { return fmt.Sprintf("invalid %s %q: %s", e.what, e.value, e.rule) }

func (e *problem) Is(target error) bool { return target == ErrInvalid }

// Repository and tag, as in distribution-spec 1.1, "Pulling manifests". The length of
// a name is limited by what registries store and by what a client may send, including
// the host; the spec only warns.
var (
	repositoryPattern = regexp.MustCompile(`^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*$`)
	tagPattern        = regexp.MustCompile(`^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$`)
)

// hostPattern matches a DNS name or an IPv4 address. DNS has no underscore, but names
// of containers do.
var hostPattern = regexp.MustCompile(`^[a-zA-Z0-9]([a-zA-Z0-9_-]*[a-zA-Z0-9])?(\.[a-zA-Z0-9]([a-zA-Z0-9_-]*[a-zA-Z0-9])?)*$`)

const (
	maxRepository = 255
	maxHost       = 255
)

// CheckRepository returns an error if name is not the name of a repository. A
// name that passes is safe as a relative path: no part of it is empty, starts
// with a dot or an underscore, or has a character besides a-z, 0-9 and . _ -.
func CheckRepository(name string) error { return checkPath("repository", name) }

// checkPath checks a path in a registry; what is its name in errors.
func checkPath(what, path string) error {
	switch {
	case len(path) > maxRepository:
		return &problem{what, path, fmt.Sprintf("must not be longer than %d characters", maxRepository)}
	case repositoryPattern.MatchString(path):
		return nil
	case repositoryPattern.MatchString(strings.ToLower(path)):
		return &problem{what, path, "must be lower case"}
	}
	return &problem{what, path, "must be of a-z and 0-9, with single . _ / or any number of - between them"}
}

// CheckTag returns an error if tag is not a tag.
func CheckTag(tag string) error {
	if tagPattern.MatchString(tag) {
		return nil
	}
	return &problem{"tag", tag, "must be 1 to 128 of a-z, A-Z, 0-9 and _ . -, and not start with . or -"}
}

// CheckHost returns an error if host is not the HOST[:PORT] of a registry, where
// an IPv6 address is in brackets. A host that passes is safe as the name of a
// file and inside quotes.
func CheckHost(host string) error {
	name, port, found := cutPort(host)
	if found && !validPort(port) {
		return &problem{"port", port, "must be a number from 1 to 65535"}
	}
	if strings.HasPrefix(name, "[") {
		a, err := netip.ParseAddr(strings.TrimSuffix(name[1:], "]"))
		if err != nil || !strings.HasSuffix(name, "]") || !a.Is6() || a.Zone() != "" {
			return &problem{"host", host, "must be an IPv6 address in the brackets"}
		}
		return nil
	}
	switch {
	case strings.Contains(name, ":"):
		return &problem{"host", host, "an IPv6 address must be in brackets"}
	case len(host) > maxHost || !hostPattern.MatchString(name):
		return &problem{"host", host, "must be HOST[:PORT]"}
	}
	return nil
}

// Hostname returns a host without its port.
func Hostname(host string) string {
	name, _, _ := cutPort(host)
	return name
}

// cutPort splits HOST:PORT at the colon that is not part of an IPv6 address.
func cutPort(host string) (name, port string, found bool) {
	if i := strings.LastIndexByte(host, ':'); i > strings.LastIndexByte(host, ']') {
		return host[:i], host[i+1:], true
	}
	return host, "", false
}

func validPort(port string) bool {
	n, err := strconv.ParseUint(port, 10, 16)
	return err == nil && n > 0 && port[0] != '0'
}
