package chart

import (
	"strings"

	"k0rdent-airgap/lib/ref"
)

// full returns a name as a container runtime understands it, the same for all its
// spellings.
func full(name string) string {
	r, err := ref.ParseImage(name)
	if err != nil {
		return name
	}
	return r.Normalized().Name()
}

// inside returns the repository, below the site's prefix, of a name that lies in
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
