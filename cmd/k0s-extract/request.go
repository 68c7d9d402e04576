package main

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/k0s"
)

// repository is the name of k0s's image. The vendor's tags are k0s versions.
const repository = "k0sproject/k0s"

// here returns the platform of this machine.
func here() v1.Platform { return v1.Platform{OS: "linux", Architecture: runtime.GOARCH} }

// A request is the k0s to get, by the flags, and where its bytes go.
type request struct {
	*config
	progress *cli.Progress
	log      *slog.Logger
}

// wants reports whether a version is wanted, given those already found.
func (w *request) wants(v k0s.Version, have []found) bool {
	if w.version != nil && w.version.Compare(v) != 0 {
		return false
	}
	return !slices.ContainsFunc(have, func(f found) bool {
		// Every k0s in a bundle has a version.
		return v.Compare(*f.version) == 0 || !w.name && v.Compare(*f.version) < 0
	})
}

// platformOf returns the requested platform with an architecture.
func (w *request) platformOf(arch string) (v1.Platform, bool) {
	i := slices.IndexFunc(w.platforms, func(p v1.Platform) bool { return p.Architecture == arch })
	if i < 0 {
		return v1.Platform{}, false
	}
	return w.platforms[i], true
}

// known returns an error if a version is unknown but required.
func (w *request) known(v *k0s.Version, what string) error {
	if v == nil && w.name {
		return cli.Hint(cli.Misuse("%s: cannot determine its k0s version", what), "name it with --k0s-version")
	}
	return nil
}

// A found is one k0s, complete and verified against its source; or the error of
// the search for it.
type found struct {
	version  *k0s.Version // nil if unknown
	platform v1.Platform
	source   string // the kind of source, and its location
	sink     *sink  // nil with err
	err      error  // why there is none
}

// add merges the results of one source into those of others. Unless every version
// is wanted, they replace them.
func (w *request) add(have []found, got ...found) []found {
	if !w.name {
		drop(have)
		have = nil
	}
	return append(have, got...)
}

// drop discards results that are no longer wanted.
func drop(have []found) {
	for _, f := range have {
		if f.sink != nil {
			f.sink.drop()
		}
	}
}

// fileName is the name that the vendor, and its cluster templates, use for k0s:
// with a version, and with or without an architecture. The plus sign has two
// spellings.
var fileName = regexp.MustCompile(`^k0s-(v[0-9].*?)(?:-(amd64|arm64|arm|riscv64))?$`)

// fileVersion returns the version in a file's name, or nil.
func fileVersion(path string) *k0s.Version {
	m := fileName.FindStringSubmatch(filepath.Base(path))
	if m == nil {
		return nil
	}
	v, err := k0s.ParseVersion(m[1])
	if err != nil {
		return nil
	}
	return &v
}

// absent returns the error of a source that has no k0s that is wanted.
func (w *request) absent(where string, seen []k0s.Version) error {
	switch {
	case len(seen) == 0:
		return cli.Hint(fmt.Errorf("%s: does not contain the image %s", where, repository), "list the bundle with bundle-ls, or use --from to get k0s from a file or a registry")
	case w.version != nil:
		return fmt.Errorf("%s: does not contain k0s %s, only %s", where, w.version, strings.Join(k0s.NewestFirst(seen), ", "))
	}
	return fmt.Errorf("%s: does not contain a usable k0s", where)
}

// interrupted returns the cause of a cancelled run rather than an error that it caused.
func interrupted(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}
