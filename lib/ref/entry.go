package ref

import (
	"fmt"
	"path"
	"strings"
)

// The vendor's upload script takes the path without ".tar" as the repository up to
// the last underscore, and as the tag from the first one on. The two agree only if
// there is exactly one, which is so in the vendor's bundles. The rules here have the
// same result for those, and for other names consult the archive's metadata. Names of
// further bundles are decoded first; see Plain.

// Entry returns the vendor's name for the entry of r.
func (r Reference) Entry() string { return r.Repository + "_" + r.Tag + ".tar" }

// extensions are those of archives, compressed or not.
var extensions = []string{".tar", ".tar.gz", ".tgz", ".tar.zst", ".tzst", ".oci"}

// trim returns an entry's name without its extension, and reports whether it
// had one.
func trim(entry string) (name string, found bool) {
	for _, extension := range extensions {
		if name, found = strings.CutSuffix(entry, extension); found {
			return name, true
		}
	}
	return entry, false
}

// unreadable are the extensions of compressions that are not supported, and
// unreadableTar those of a tar in one.
var (
	unreadable    = []string{".xz", ".bz2", ".lz4", ".lzma", ".lz", ".lzo", ".Z", ".zip", ".7z", ".rar"}
	unreadableTar = []string{".txz", ".tbz", ".tbz2", ".tlz", ".taz"}
)

// IsImage reports whether an entry is named like an image, such as
// REPOSITORY_TAG.tar, whatever its content.
func IsImage(entry string) bool {
	for _, extension := range unreadable {
		entry = strings.TrimSuffix(entry, extension)
	}
	for _, extension := range unreadableTar {
		if name, found := strings.CutSuffix(entry, extension); found {
			entry = name + ".tar"
		}
	}
	_, found := trim(entry)
	return found && len(splits(entry)) > 0
}

// splits returns every way to split an entry's name, first separator first. The
// separator is "_" or ":", in the file's own name, since a tag cannot contain a
// slash. A colon is always the separator, so it leaves no choice.
func splits(entry string) []Reference {
	name, _ := trim(decode(entry, false))
	dir, base := path.Split(name)
	separators := "_"
	if strings.Contains(base, ":") {
		separators = ":"
	}
	var all []Reference
	for i := range len(base) {
		if strings.Contains(separators, base[i:i+1]) {
			all = append(all, Reference{Repository: dir + base[:i], Tag: base[i+1:]})
		}
	}
	return all
}

// Predict returns the reference of an entry, which may be that of a Helm chart, from
// its name alone. certain is true if the name has only one reading, so that no
// metadata of the archive can change it. An error means that the name has none; the
// archive may still have one (see Resolve).
func Predict(entry string, chart bool) (r Reference, certain bool, err error) {
	all := splits(entry)
	if len(all) == 0 {
		separator := "_"
		if packed(path.Base(entry)) {
			separator = "@"
		}
		return Reference{}, false, fmt.Errorf("%w: no %s between repository and tag", ErrInvalid, separator)
	}
	r = all[len(all)-1]
	if chart {
		r.Tag = ChartTag(r.Tag)
	}
	if err := r.Check(); err != nil {
		return Reference{}, false, err
	}
	return r, len(all) == 1, nil
}

// Guess returns the repository that an entry most likely belongs to, before its
// archive has been read. The error means that it cannot belong to any, whatever the
// archive contains.
func Guess(entry string) (repository string, err error) {
	all := splits(entry)
	for i := len(all) - 1; i >= 0; i-- {
		if err = CheckRepository(all[i].Repository); err == nil {
			return all[i].Repository, nil
		}
	}
	if name, _ := trim(decode(entry, false)); len(all) == 0 {
		return name, CheckRepository(name)
	}
	return "", err
}
