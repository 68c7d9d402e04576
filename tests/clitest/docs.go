// Package clitest checks that the documentation of a tool's flags is complete.
package clitest

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"k0rdent-airgap/lib/cli"
)

// documents returns the files that must name exactly the flags of a tool, with a
// pattern for a flag. The paths start at the root of the repository.
func documents(tool string) map[string]*regexp.Regexp {
	long := regexp.MustCompile(`--([a-z][a-z0-9-]*)`)
	page := "man/" + tool + ".1"
	if tool == "oci-serve" {
		page = "man/" + tool + ".8"
	}
	return map[string]*regexp.Regexp{
		page:                            regexp.MustCompile(`(?m)^\.It Fl -([a-z][a-z0-9-]*)`),
		"completions/" + tool + ".bash": long,
		"completions/_" + tool:          regexp.MustCompile(`'\*?(?:\([^)]*\))?--([a-z][a-z0-9-]*)`),
		"completions/" + tool + ".fish": regexp.MustCompile(`(?m) -l ([a-z][a-z0-9-]*)`),
	}
}

// Docs fails if a flag is missing from the usage text, the manual page or a completion
// file, or if one of them names a flag that does not exist.
func Docs(t *testing.T, fs *flag.FlagSet, usage, root string) {
	t.Helper()
	want := []string{"help", "version"}
	fs.VisitAll(func(f *flag.Flag) {
		if !cli.IsGone(f) {
			want = append(want, f.Name)
		}
	})
	slices.Sort(want)
	checkUsage(t, fs.Name(), usage)
	compare(t, "usage", names(regexp.MustCompile(`(?m)^ +--([a-z][a-z0-9-]*)`), usage), want)
	for path, spelt := range documents(fs.Name()) {
		text, err := os.ReadFile(filepath.Join(root, path))
		if err != nil {
			t.Error(err)
			continue
		}
		compare(t, path, names(spelt, string(text)), want)
	}
}

func names(spelt *regexp.Regexp, text string) []string {
	var found []string
	for _, m := range spelt.FindAllStringSubmatch(text, -1) {
		found = append(found, m[1])
	}
	slices.Sort(found)
	return slices.Compact(found)
}

func compare(t *testing.T, where string, got, want []string) {
	t.Helper()
	var missing, stale []string
	for _, w := range want {
		if !slices.Contains(got, w) {
			missing = append(missing, "--"+w)
		}
	}
	for _, g := range got {
		if !slices.Contains(want, g) {
			stale = append(stale, "--"+g)
		}
	}
	if len(missing)+len(stale) > 0 {
		t.Errorf("%s: missing [%s], not flags [%s]", where, strings.Join(missing, " "), strings.Join(stale, " "))
	}
}

// Shared fails unless flags is the list of those flags of a tool that the other tool
// with the same configuration file does not have. page is the manual page of the other
// tool.
func Shared(t *testing.T, fs *flag.FlagSet, flags []string, page string) {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	theirs := names(regexp.MustCompile(`(?m)^\.It Fl -([a-z][a-z0-9-]*)`), string(text))
	// Sections of the file, or settings that the file fixes.
	theirs = append(theirs, "join", "k0s")
	var want []string
	fs.VisitAll(func(f *flag.Flag) {
		if !slices.Contains(theirs, f.Name) && !cli.IsGone(f) {
			want = append(want, f.Name)
		}
	})
	compare(t, "the flags of "+fs.Name()+" alone", flags, want)
}
