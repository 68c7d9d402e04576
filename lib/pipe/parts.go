package pipe

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"k0rdent-airgap/lib/bundle"
	"k0rdent-airgap/lib/cli"
)

// MostParts is how many operands a tool accepts that reads a bundle or another
// file which may be in parts.
const MostParts = 10000

// Operand returns the operand of a tool that reads one file. Several operands
// are the parts of one, in any order, or else misuse; their signature and
// checksum files may be among them, as a pattern matches those as well. A part
// stands for its series, whose path is that of the first part.
func Operand(fs *cli.FlagSet) (string, error) {
	operands := fs.Args()
	if len(operands) < 2 {
		return series(fs.Arg(0))
	}
	var parts []string
	for _, operand := range operands {
		path, err := filepath.Abs(operand)
		if err != nil {
			return "", err
		}
		parts = append(parts, path)
	}
	slices.Sort(parts)
	parts = slices.Compact(parts)
	s, err := bundle.JoinSeries(parts)
	if s == nil && err == nil {
		parts = slices.DeleteFunc(parts, beside)
		s, err = bundle.JoinSeries(parts)
	}
	switch {
	case err != nil:
		return "", PartHint(err)
	case s != nil:
		return s.Path(), nil
	}
	err = cli.CheckOperands(fs, 1)
	if other, first := unrelated(operands); other != "" {
		return "", cli.Hint(cli.Misuse("unexpected argument %q: not a part of the same file as %s", other, first), "name the parts of one file")
	}
	return "", err
}

// series returns the path of the series that an operand is a part of, or else
// the operand.
func series(operand string) (string, error) {
	if operand == "" || operand == "-" {
		return operand, nil
	}
	s, err := bundle.FindSeries(operand)
	if err != nil {
		return "", PartHint(err)
	}
	if s == nil {
		return operand, nil
	}
	return s.Path(), nil
}

// beside reports whether a file accompanies a bundle, by its name.
func beside(path string) bool {
	return slices.ContainsFunc([]string{".sig", ".sigstore.json", ".sha256", ".sha256sum"}, func(end string) bool { return strings.HasSuffix(path, end) })
}

// unrelated returns the first operand that is not a part of the same series as the
// first one, if that is a part at all.
func unrelated(operands []string) (other, first string) {
	for _, operand := range operands[1:] {
		if beside(operand) {
			continue
		}
		if s, err := bundle.JoinSeries([]string{operands[0], operand}); s == nil && err == nil {
			if alone, err := bundle.JoinSeries(operands[:1]); alone != nil || err != nil {
				return operand, operands[0]
			}
		}
	}
	return "", ""
}

// PartHint adds the remedy of a PartError as a hint.
func PartHint(err error) error {
	if at, ok := errors.AsType[*bundle.PartError](err); ok && at.Remedy != "" && cli.HintOf(err) == "" {
		return cli.Hint(err, "%s", at.Remedy)
	}
	return err
}

// Parts returns how many parts the bundle has, or 0 if it is not a series.
func (b Bundle) Parts() int {
	s, err := bundle.FindSeries(b.Path)
	if s == nil || err != nil {
		return 0
	}
	return len(s.Parts)
}

// partsRemedy suggests what is wrong with the parts of a bundle that cannot be
// read, or with one part that is all there is.
func (b Bundle) partsRemedy(err error) string {
	s, failed := bundle.FindSeries(b.Path)
	if failed != nil || s == nil {
		return b.loose()
	}
	if odd := s.Odd(); odd != "" {
		return odd
	}
	switch {
	case errors.Is(err, bundle.ErrFormat):
		if part := s.Head(); part != "" {
			return fmt.Sprintf("%s begins like a bundle: it is the first part, and the names are swapped", part)
		}
	case errors.Is(err, bundle.ErrTruncated):
		return fmt.Sprintf("the last part, %s, is incomplete, or the parts after it are missing; compare them with the originals: sha256sum", s.Parts[len(s.Parts)-1])
	case errors.Is(err, bundle.ErrCorrupt):
		return "copy that part again, and see that no two parts have swapped names: sha256sum"
	}
	return ""
}

// loose returns the hint for a part whose series has no beginning, or "".
func (b Bundle) loose() string {
	dir, name := filepath.Split(b.Path)
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if e.Name() == name {
			continue
		}
		if s, err := bundle.JoinSeries([]string{b.Path, filepath.Join(dir, e.Name())}); s != nil || err != nil {
			if err == nil {
				return ""
			}
			return fmt.Sprintf("this looks like one of several parts; the first one is not here (%v)", err)
		}
	}
	return ""
}
