package ref

import (
	"fmt"
	"path"
	"strings"
)

// The vendor's upload script takes the path without ".tar", and calls what
// stands before the last underscore the repository and what follows the first
// one the tag. The two agree only where there is exactly one, which is the
// case in the vendor's bundles. The rules here give the same for those, and
// for other names look at what the archive says of itself.

// Entry returns the name that the vendor gives to the entry of r.
func (r Reference) Entry() string { return r.Repository + "_" + r.Tag + ".tar" }

// extensions are those of the files that archives come in, packed or not.
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

// unreadable are the extensions of packings that are not inflated, and
// unreadableTar those that stand for a tar in one.
var (
	unreadable    = []string{".xz", ".bz2", ".lz4", ".lzma", ".lz", ".lzo", ".Z", ".zip", ".7z", ".rar"}
	unreadableTar = []string{".txz", ".tbz", ".tbz2", ".tlz", ".taz"}
)

// IsImage reports whether an entry has the name of an image, REPOSITORY_TAG.tar
// or the like, whatever its content.
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

// splits lists every way to read an entry's name, first separator first. The
// separator is "_" or ":", in the file's own name, since no tag has a slash.
// A colon can be nothing but the separator, so it leaves no choice.
func splits(entry string) []Reference {
	name, _ := trim(entry)
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

// Predict returns the reference that an entry's name alone gives. certain is
// true if the name can be read in one way only, so that nothing the archive
// says can make it another one. An error says that the name gives none; the
// archive still may (see Resolve).
func Predict(entry string) (r Reference, certain bool, err error) { return predict(entry, false) }

// PredictChart is Predict for the entry of a Helm chart.
func PredictChart(entry string) (r Reference, certain bool, err error) { return predict(entry, true) }

func predict(entry string, chart bool) (r Reference, certain bool, err error) {
	all := splits(entry)
	if len(all) == 0 {
		return Reference{}, false, fmt.Errorf("%w: no _ between repository and tag", ErrInvalid)
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
// archive has said anything. The error says that it can belong to none, whatever
// the archive says.
func Guess(entry string) (repository string, err error) {
	all := splits(entry)
	for i := len(all) - 1; i >= 0; i-- {
		if err = CheckRepository(all[i].Repository); err == nil {
			return all[i].Repository, nil
		}
	}
	if name, _ := trim(entry); len(all) == 0 {
		return name, CheckRepository(name)
	}
	return "", err
}
