package main

import (
	"cmp"
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
	"k0rdent-airgap/lib/oci"
	"k0rdent-airgap/lib/record"
)

// repository is the name of k0s's image, which the vendor's tags tell the
// version of.
const repository = "k0sproject/k0s"

// here returns the platform of this machine.
func here() v1.Platform { return v1.Platform{OS: "linux", Architecture: runtime.GOARCH} }

// A wish is which k0s is wanted, and where its bytes go.
type wish struct {
	platforms oci.Platforms // each of another architecture
	version   *k0s.Version  // this one; nil: see every
	every     bool          // each version, rather than the newest; each must be known, since files are named after it
	sink      func(*k0s.Version, v1.Platform) sink

	progress *cli.Progress
	log      *slog.Logger
}

// wants reports whether a version is wanted, given those that are found already.
func (w *wish) wants(v k0s.Version, have []found) bool {
	if w.version != nil && w.version.Compare(v) != 0 {
		return false
	}
	return !slices.ContainsFunc(have, func(f found) bool {
		// What a bundle holds always has a version.
		return v.Compare(*f.version) == 0 || !w.every && v.Compare(*f.version) < 0
	})
}

// platformOf returns the platform that an architecture's programs are wanted for.
func (w *wish) platformOf(arch string) (v1.Platform, bool) {
	i := slices.IndexFunc(w.platforms, func(p v1.Platform) bool { return p.Architecture == arch })
	if i < 0 {
		return v1.Platform{}, false
	}
	return w.platforms[i], true
}

// known fails where a version must be known and is not.
func (w *wish) known(v *k0s.Version, what string) error {
	if v == nil && w.every {
		return cli.Hint(cli.Misuse("%s: nothing tells which version it is", what), "give --k0s-version")
	}
	return nil
}

// A found is one k0s: all of its bytes have come, and they are those that its
// source vouches for; or it is what came of the search for it.
type found struct {
	version  *k0s.Version // nil if nothing tells it
	platform v1.Platform
	source   string // what kind of source, and where it is
	sink     sink   // nil with err
	err      error  // why there is none
}

// add notes what was found in one source, which may replace what was found
// in others.
func (w *wish) add(have []found, news ...found) []found {
	if !w.every {
		drop(have)
		have = nil
	}
	return append(have, news...)
}

// drop lets go of what is not wanted after all.
func drop(have []found) {
	for _, f := range have {
		if f.sink != nil {
			f.sink.drop()
		}
	}
}

// file returns the record of a found, as far as that tells it.
func (f found) file(path string) record.File {
	r := record.File{Path: path, Platform: f.platform.String(), Source: f.source}
	if f.version != nil {
		r.Version = f.version.String()
	}
	return r
}

// fileName is what the vendor, and its cluster templates, call the program of
// a version, for an architecture or without one. Both spellings of the plus
// sign are seen.
var fileName = regexp.MustCompile(`^k0s-(v[0-9].*?)(?:-(amd64|arm64|arm|riscv64))?$`)

// fileVersion returns the version that a file's name tells, nil if it tells none.
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

// newest returns the greatest of some versions.
func newest(versions []k0s.Version) k0s.Version { return slices.MaxFunc(versions, k0s.Version.Compare) }

// list names versions for a person, newest first.
func list(versions []k0s.Version) string {
	slices.SortFunc(versions, func(a, b k0s.Version) int { return b.Compare(a) })
	var names []string
	for _, v := range slices.Compact(versions) {
		names = append(names, v.String())
	}
	return cmp.Or(strings.Join(names, ", "), "none")
}

// absent is the error of a source that has no k0s that is wanted.
func (w *wish) absent(where string, seen []k0s.Version) error {
	switch {
	case len(seen) == 0:
		return cli.Hint(fmt.Errorf("%s: no image %s in it", where, repository), "bundle-ls shows what a bundle holds; --from takes k0s from a file or a registry")
	case w.version != nil:
		return fmt.Errorf("%s: no k0s %s in it, but %s", where, w.version, list(seen))
	}
	return fmt.Errorf("%s: no k0s in it that could be used", where)
}

// interrupted prefers what ended the run to what that made fail.
func interrupted(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}
