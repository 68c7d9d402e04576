package pipe

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"k0rdent-airgap/lib/bundle"
	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/nearest"
)

// Refused returns the entry that a bundle.ErrEntry is about, and the problem
// with it, with the remedy as a hint.
func Refused(err error) (entry string, problem error) {
	refused, ok := errors.AsType[*bundle.EntryError](err)
	if !ok {
		return "", err
	}
	problem = errors.New(refused.Problem)
	if refused.Remedy != "" {
		problem = cli.Hint(problem, "%s", refused.Remedy)
	}
	return refused.Entry, problem
}

// Empty returns the error for a bundle without images.
func (b Bundle) Empty() error {
	err := fmt.Errorf("%s: no images in it", b.Path)
	return cli.Hint(err, "the archive of one image is not a bundle; a directory must be the one that holds charts/")
}

// remedied adds a hint to an error of opening or reading a bundle, if the
// bundle's name and the files next to it suggest one.
func (b Bundle) remedied(err error) error {
	if hint := b.remedy(err); hint != "" && cli.HintOf(err) == "" {
		return cli.Hint(err, "%s", hint)
	}
	return err
}

func (b Bundle) remedy(err error) string {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return b.missing()
	case errors.Is(err, fs.ErrPermission):
		return "run it as a user with read permission"
	}
	if hint := b.partsRemedy(err); hint != "" {
		return hint
	}
	damage, _ := errors.AsType[*bundle.DamageError](err)
	switch {
	case errors.Is(err, bundle.ErrTruncated) && damage != nil && damage.Offset == bundle.FAT32Max:
		return "carry it in parts (split -b 4000M FILE FILE.part-), or on exFAT, ext4 or NTFS"
	case errors.Is(err, bundle.ErrTruncated):
		return "copy it again; resume a download with curl -C - -LO URL"
	case errors.Is(err, bundle.ErrCorrupt):
		return "copy it again, and compare it with the vendor's: sha256sum FILE"
	case errors.Is(err, bundle.ErrFormat) && bundle.FirstPart(b.Path) != "":
		return "if it is a part of a bundle, copy " + filepath.Base(bundle.FirstPart(b.Path)) + " and the others next to it, or name the parts on all media"
	case errors.Is(err, bundle.ErrFormat):
		return b.signed()
	case errors.Is(err, bundle.ErrLayout):
		return "name a file or directory that holds one bundle, with charts/ at its top"
	}
	return ""
}

// missing suggests a file for a name that does not exist.
func (b Bundle) missing() string {
	dir, name := filepath.Split(b.Path)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return ""
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if near := nearest.Likely(name, names); near != "" {
		return "did you mean " + filepath.Join(dir, near) + "?"
	}
	return ""
}

// signed suggests the file that a signature belongs to.
func (b Bundle) signed() string {
	for _, suffix := range []string{".sig", ".sigstore.json", ".sigstore", ".bundle", ".asc", ".sha256"} {
		if file, found := strings.CutSuffix(b.Path, suffix); found {
			return "name the bundle itself: " + file
		}
	}
	return ""
}
