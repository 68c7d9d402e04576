package pipe

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"k0rdent-airgap/lib/bundle"
	"k0rdent-airgap/lib/cli"
)

// mostParts is how many parts of a file a tool accepts as operands.
const mostParts = 10000

// Parse is like cli.Parse, and returns the operand of a tool that reads one file.
// Several operands are the parts of one, in any order, or else misuse; their
// signature and checksum files may be among them, as a pattern matches those as
// well. A part stands for its series, whose path is that of the first part.
func Parse(fs *cli.FlagSet, args []string, usage string, stdout io.Writer) (operand string, err error) {
	if err := cli.Parse(fs, args, usage, stdout, mostParts); err != nil {
		return "", err
	}
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
		return "", err
	case s != nil:
		return s.Path(), nil
	}
	if other := unrelated(operands); other != "" {
		return "", cli.Hint(cli.Misuse("unexpected argument %q: not a part of the same file as %s", other, operands[0]), "name the parts of one file")
	}
	return "", cli.CheckOperands(fs, 1)
}

// series returns the path of the series that an operand is a part of, or else
// the operand.
func series(operand string) (string, error) {
	if operand == "" || operand == "-" {
		return operand, nil
	}
	s, err := bundle.FindSeries(operand)
	if err != nil {
		return "", err
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
func unrelated(operands []string) string {
	if alone, err := bundle.JoinSeries(operands[:1]); alone == nil && err == nil {
		return ""
	}
	for _, operand := range operands[1:] {
		if s, err := bundle.JoinSeries([]string{operands[0], operand}); s == nil && err == nil && !beside(operand) {
			return operand
		}
	}
	return ""
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
