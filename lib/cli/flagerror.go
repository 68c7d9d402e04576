package cli

import (
	"cmp"
	"flag"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"k0rdent-airgap/lib/nearest"
)

// userOfURL matches a user name and password in an address, which must not be
// printed.
var userOfURL = regexp.MustCompile(`//[^/@\s]*@`)

// misuse returns the error for wrong flags, and keeps the cause. hint is added
// unless the cause has one.
func misuse(fs *flag.FlagSet, cause error, hint, format string, args ...any) error {
	text := userOfURL.ReplaceAllString(fmt.Sprintf(format, args...), "//")
	hint = cmp.Or(HintOf(cause), hint, fs.Name()+" --help lists the flags")
	return Hint(&codeError{CodeMisuse, &reworded{text, cause}}, "%s", hint)
}

// reworded is an error with another text.
type reworded struct {
	text string
	err  error
}

func (e *reworded) Error() string { return e.text }
func (e *reworded) Unwrap() error { return e.err }

// flagNames lists the flags of a set, and those that every tool has.
func flagNames(fs *flag.FlagSet) []string {
	names := []string{"help", "version"}
	fs.VisitAll(func(f *flag.Flag) {
		if !IsGone(f) {
			names = append(names, f.Name)
		}
	})
	return names
}

// suggest returns " (did you mean --to?)" if name is likely a typo of one of
// the flags.
func suggest(fs *flag.FlagSet, name, prefix string) string {
	names := flagNames(fs)
	if short := map[string]string{"v": "verbose", "q": "quiet", "V": "version"}[name]; short != "" {
		return nearest.Meant(short, names, prefix)
	}
	if slices.Contains(names, name) { // --version cannot be set in a file
		return ""
	}
	return nearest.Meant(strings.ReplaceAll(name, "_", "-"), names, prefix)
}

// elsewhere returns a hint about a flag that another tool has, or "".
func elsewhere(tool, name string) string {
	readers := []string{"bundle-verify", "bundle-version", "bundle-ls", "oci-push", "k0s-extract"}
	if slices.Contains(readers, tool) && nearest.Distance(name, "bundle") <= 1 {
		return "name the bundle without a flag: " + tool + " ... BUNDLE"
	}
	switch name {
	case "key", "signature":
		return "bundle-verify checks signatures: bundle-verify --key FILE BUNDLE | " + tool
	case "password", "token", "secret":
		return "every user of this host can see a secret on the command line; name a file that holds it"
	}
	return ""
}

// warnVariables warns about unknown variables with the tool's prefix.
func warnVariables(fs *flag.FlagSet, stderr io.Writer, environment []string) {
	prefix := envPrefix(fs.Name()) + "_"
	known := flagNames(fs)
	for i, name := range known {
		known[i] = envPrefix(name)
	}
	for _, line := range environment {
		name, _, _ := strings.Cut(line, "=")
		rest, ours := strings.CutPrefix(name, prefix)
		// Kubernetes sets the latter two for a Service of the tool's name.
		if !ours || slices.Contains(known, rest) || strings.HasPrefix(rest, "SERVICE_") || strings.HasPrefix(rest, "PORT_") {
			continue
		}
		io.WriteString(stderr, messageLine(stderr, "", fs.Name(), "ignoring unknown variable "+oneLine(name)+nearest.Meant(rest, known, prefix)))
	}
}
