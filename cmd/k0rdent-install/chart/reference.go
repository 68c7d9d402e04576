package chart

import (
	"strings"

	"k0rdent-airgap/lib/ref"
)

// full returns a name as container runtimes expand it, the same for each spelling.
func full(name string) string {
	r, err := ref.ParseImage(name)
	if err != nil {
		return name
	}
	return r.Normalized().Name()
}

// inside returns the repository, relative to the site's prefix, of a name in the site's
// registry.
func (s Site) inside(name string) (string, bool) {
	if s.Registry == "" {
		return "", false
	}
	return strings.CutPrefix(name, s.Registry+"/")
}

// match returns the repository with the counterpart of a public name. The vendor drops
// the source's host and, for its own images, all directories, so this is the longest
// suffix of the name that the registry has: from the whole name, as in a proxy cache,
// to the last element. The vendor renames the platform's own "controller"; a suffix
// would match some other one.
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
