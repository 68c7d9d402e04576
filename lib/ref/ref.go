// Package ref is the relation between the name of an entry in a bundle and the
// reference, repository and tag, that its content gets in a registry.
//
// The vendor's upload script takes the path without ".tar", and calls what
// stands before the last underscore the repository and what follows the first
// one the tag. The two agree only where there is exactly one, which is the
// case in the vendor's bundles. The rules here give the same for those, and
// for other names look at what the archive says of itself. Everything in this
// package is a pure function.
package ref

import (
	"errors"
	"fmt"
	"path"
	"regexp"
	"strings"
)

// ErrInvalid is wrapped by every error: the name or text gives no valid
// reference.
var ErrInvalid = errors.New("invalid reference")

// Repository and tag, as in distribution-spec 1.1, "Pulling manifests". The
// length of a name is bounded by what registries store, the spec only warns.
var (
	repositoryPattern = regexp.MustCompile(`^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*$`)
	tagPattern        = regexp.MustCompile(`^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$`)
)

const maxRepository = 255

// A Reference names one image below a registry.
type Reference struct {
	Repository string
	Tag        string
}

func (r Reference) String() string { return r.Repository + ":" + r.Tag }

// Entry returns the name that the vendor gives to the entry of r.
func (r Reference) Entry() string { return r.Repository + "_" + r.Tag + ".tar" }

// In returns r below a prefix, which may be empty.
func (r Reference) In(prefix string) Reference {
	if prefix = strings.Trim(prefix, "/"); prefix != "" {
		r.Repository = prefix + "/" + r.Repository
	}
	return r
}

// Check tells what is wrong with r, if anything.
func (r Reference) Check() error {
	if err := CheckRepository(r.Repository); err != nil {
		return err
	}
	return CheckTag(r.Tag)
}

// CheckRepository tells what is wrong with a repository's name, if anything.
func CheckRepository(name string) error {
	if len(name) > maxRepository {
		return fmt.Errorf("%w: repository longer than %d characters", ErrInvalid, maxRepository)
	}
	if repositoryPattern.MatchString(name) {
		return nil
	}
	if repositoryPattern.MatchString(strings.ToLower(name)) {
		return fmt.Errorf("%w: repository %q has capital letters", ErrInvalid, name)
	}
	return fmt.Errorf("%w: repository %q: only a-z, 0-9 and, between them, . _ - / may be used", ErrInvalid, name)
}

// CheckTag tells what is wrong with a tag, if anything.
func CheckTag(tag string) error {
	if tagPattern.MatchString(tag) {
		return nil
	}
	return fmt.Errorf("%w: tag %q: at most 128 of a-z, A-Z, 0-9 and _ . - (the last two not first) may be used", ErrInvalid, tag)
}

// Parse reads "repository:tag".
func Parse(s string) (Reference, error) {
	repository, tag, found := strings.Cut(s, ":")
	if !found {
		return Reference{}, fmt.Errorf("%w: %q is not repository:tag", ErrInvalid, s)
	}
	r := Reference{repository, tag}
	if err := r.Check(); err != nil {
		return Reference{}, err
	}
	return r, nil
}

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

// unreadable are the extensions of packings that are not inflated.
var unreadable = []string{".xz", ".bz2", ".lz4", ".lzma"}

// IsImage reports whether an entry has the name of an image, REPOSITORY_TAG.tar
// or the like, whatever its content.
func IsImage(entry string) bool {
	for _, extension := range unreadable {
		entry = strings.TrimSuffix(entry, extension)
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
			all = append(all, Reference{dir + base[:i], base[i+1:]})
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
