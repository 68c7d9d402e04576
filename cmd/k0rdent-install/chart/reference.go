package chart

import (
	"regexp"
	"strings"

	"k0rdent-airgap/lib/ref"
)

// A reference names an image as values and manifests do. name is the
// repository with its registry, where one is written.
type reference struct{ name, tag, digest string }

var (
	hostPattern   = regexp.MustCompile(`^([A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9a-fA-F:]+\])(:[0-9]{1,5})?$`)
	digestPattern = regexp.MustCompile(`^(sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})$`)
)

// parseReference reads a reference; false means that s is none. A URL is none.
func parseReference(s string) (reference, bool) {
	var r reference
	var pinned bool
	if r.name, r.digest, pinned = strings.Cut(s, "@"); pinned && !digestPattern.MatchString(r.digest) {
		return reference{}, false
	}
	if i := strings.LastIndexByte(r.name, ':'); i > strings.LastIndexByte(r.name, '/') {
		r.name, r.tag = r.name[:i], r.name[i+1:]
		if ref.CheckTag(r.tag) != nil {
			return reference{}, false
		}
	}
	host, path := place(r.name)
	if !hostPattern.MatchString(host) || ref.CheckRepository(path) != nil {
		return reference{}, false
	}
	return r, true
}

// rest is what follows the name.
func (r reference) rest() string {
	s := ""
	if r.tag != "" {
		s = ":" + r.tag
	}
	if r.digest != "" {
		s += "@" + r.digest
	}
	return s
}

func (r reference) String() string { return r.name + r.rest() }

// identifier is what a registry is asked for: a digest beats a tag, and no tag
// means latest.
func (r reference) identifier() string {
	switch {
	case r.digest != "":
		return r.digest
	case r.tag != "":
		return r.tag
	default:
		return "latest"
	}
}

// place tells which registry a container runtime asks for a name, and for
// which repository: docker.io where no host is written, and library/ for what
// has no other directory there (distribution/reference, "normalized names").
func place(name string) (host, path string) {
	host, path, found := strings.Cut(name, "/")
	if !found || !strings.ContainsAny(host, ".:") && host != "localhost" {
		host, path = "docker.io", name
	}
	if host == "index.docker.io" {
		host = "docker.io"
	}
	if host == "docker.io" && !strings.Contains(path, "/") {
		path = "library/" + path
	}
	return host, path
}

// full is a name as place understands it, the same for all its spellings.
func full(name string) string {
	host, path := place(name)
	return host + "/" + path
}

// inside gives the repository, below the site's prefix, of a name that lies in
// the site's registry.
func (s Site) inside(name string) (string, bool) {
	if s.Registry == "" {
		return "", false
	}
	return strings.CutPrefix(name, s.Registry+"/")
}

// match finds the repository that holds what a public name stands for. The
// vendor drops the source's host, and for its own images all directories; it
// keeps the rest. So the longest end of the name that the registry has is
// taken, from the whole name, as a proxy cache has it, down to the last
// element. Ends alone would take some other "controller" for the platform's,
// which its vendor renames.
func match(name string, have map[string]bool) (string, bool) {
	at := full(name)
	switch {
	case strings.HasSuffix(at, "/k0rdent/kcm/controller") && have["kcm-controller"]:
		return "kcm-controller", true
	case strings.HasSuffix(at, "/k0rdent/kcm/telemetry") && have["kcm-telemetry"]:
		return "kcm-telemetry", true
	}
	for {
		if have[at] {
			return at, true
		}
		_, shorter, found := strings.Cut(at, "/")
		if !found {
			return "", false
		}
		at = shorter
	}
}
