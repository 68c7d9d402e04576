package cli

import (
	"cmp"
	"flag"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"time"

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

// watched is a flag value that records when it refuses a text, which the flag
// packages report only in prose.
type watched struct {
	flag.Value
	name    string
	refused *refusal
}

// refusal is the value that a flag refused, and the reason.
type refusal struct {
	name, value string
	err         error
}

// watch makes the flags of a set record what they refuse.
func watch(fs *flag.FlagSet) *refusal {
	r := new(refusal)
	fs.VisitAll(func(f *flag.Flag) { f.Value = &watched{f.Value, f.Name, r} })
	return r
}

func (w *watched) Set(s string) error {
	err := w.Value.Set(s)
	if err != nil {
		*w.refused = refusal{w.name, s, cmp.Or(rule(w.Value, err), err)}
	}
	return err
}

func (w *watched) IsBoolFlag() bool { return isBool(w.Value) }

func isBool(v flag.Value) bool {
	b, ok := v.(interface{ IsBoolFlag() bool })
	return ok && b.IsBoolFlag()
}

// rule returns the error for a value of one of the flag package's own types,
// whose errors say only that it cannot be parsed, or nil for other types.
func rule(v flag.Value, err error) error {
	g, ok := v.(flag.Getter)
	if !ok {
		return nil
	}
	switch g.Get().(type) {
	case bool:
		return &reworded{"must be true or false", err}
	case time.Duration:
		return &reworded{"must be a duration such as 30s or 5m", err}
	case int, int64, uint, uint64, float64:
		return &reworded{"must be a number", err}
	}
	return nil
}

// checkArgs finds flags that are unknown or lack their value, by the rules of the
// flag package.
func checkArgs(fs *flag.FlagSet, args []string) error {
	if err := checkGone(fs, args); err != nil {
		return err
	}
	for i := 0; i < len(args); i++ {
		name, hyphen := strings.CutPrefix(args[i], "-")
		name = strings.TrimPrefix(name, "-")
		name, _, valued := strings.Cut(name, "=")
		if !hyphen || name == "" || name[0] == '-' {
			return nil // an operand, the end of the flags, or bad syntax
		}
		f := fs.Lookup(name)
		switch {
		case f == nil:
			return misuse(fs, nil, elsewhere(fs.Name(), name), "unknown flag %s%s", dashes(name), suggest(flagNames(fs), name, "--"))
		case valued || isBool(f.Value):
		case i+1 == len(args):
			return misuse(fs, nil, "", "flag needs a value: --%s", name)
		default:
			i++
		}
	}
	return nil
}

// flagNames lists the flags of a set, and those that every tool has.
func flagNames(fs *flag.FlagSet) []string {
	names := []string{"help", "version"}
	fs.VisitAll(func(f *flag.Flag) {
		if !isGone(f) {
			names = append(names, f.Name)
		}
	})
	return names
}

// suggest returns " (did you mean --to?)" if name is likely a typo of one of
// the names.
func suggest(names []string, name, prefix string) string {
	short := map[string]string{"v": "verbose", "q": "quiet", "V": "version"}
	if near := cmp.Or(short[name], nearest.Likely(strings.ReplaceAll(name, "_", "-"), names)); near != "" && near != name {
		return fmt.Sprintf(" (did you mean %s%s?)", prefix, near)
	}
	return ""
}

// dashes returns a flag as people type it: one letter gets one hyphen.
func dashes(name string) string {
	if len(name) == 1 {
		return "-" + name
	}
	return "--" + name
}

// elsewhere returns a hint about a flag that another tool has, or "".
func elsewhere(tool, name string) string {
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
	for _, line := range environment {
		name, _, _ := strings.Cut(line, "=")
		rest, ours := strings.CutPrefix(name, prefix)
		flag := strings.ToLower(strings.ReplaceAll(rest, "_", "-"))
		// Kubernetes sets the latter two for a Service of the tool's name.
		if !ours || slices.Contains(known, flag) || strings.HasPrefix(rest, "SERVICE_") || strings.HasPrefix(rest, "PORT_") {
			continue
		}
		meant := ""
		if near := nearest.Likely(flag, known); near != "" {
			meant = fmt.Sprintf(" (did you mean %s%s?)", prefix, envPrefix(near))
		}
		fmt.Fprintf(stderr, "%s: ignoring unknown variable %s%s\n", fs.Name(), oneLine(name), meant)
	}
}
