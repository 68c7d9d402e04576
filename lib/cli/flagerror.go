package cli

import (
	"cmp"
	"flag"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"k0rdent-airgap/lib/nearest"
)

// What the flag packages say. They name flags with one hyphen and their own
// steps first.
var (
	fromVariable = regexp.MustCompile(`^error parsing environment variables: error setting flag "([^"]*)" from environment variable "([^"]*)": `)
	fromFile     = regexp.MustCompile(`error setting flag "([^"]*)" from config file: `)
	unknownFlag  = regexp.MustCompile(`^error parsing commandline arguments: flag provided but not defined: -+(.*)`)
	unknownName  = regexp.MustCompile(`config file flag "([^"]*)" not defined in flag set`)
	noValue      = regexp.MustCompile(`flag needs an argument: -+(.*)`)
	wrongValue   = regexp.MustCompile(`^error parsing commandline arguments: invalid(?: boolean)? value ("(?:[^"\\]|\\.)*") for (?:flag )?-+([a-z0-9-]+): `)
)

// userOfURL finds a user name and password in an address, which nobody but its
// owner should read again.
var userOfURL = regexp.MustCompile(`//[^/@\s]*@`)

// flagError is misuse in the words of all the tools, with the cause kept.
func flagError(fs *flag.FlagSet, err error) error {
	text, hint := err.Error(), fs.Name()+" --help lists the flags"
	switch {
	case fromVariable.MatchString(text):
		m := fromVariable.FindStringSubmatch(text)
		text = fmt.Sprintf("invalid %s=%q: %s", m[2], Env(m[2]), expected(fs, m[1], text[len(m[0]):]))
	case unknownFlag.MatchString(text):
		name := unknownFlag.FindStringSubmatch(text)[1]
		text = "unknown flag " + dashes(name) + suggest(flagNames(fs), name, "--")
		hint = cmp.Or(elsewhere(fs.Name(), name), hint)
	case noValue.MatchString(text):
		text = "flag needs a value: --" + noValue.FindStringSubmatch(text)[1]
	case wrongValue.MatchString(text):
		m := wrongValue.FindStringSubmatch(text)
		text = fmt.Sprintf("invalid --%s %s: %s", m[2], m[1], expected(fs, m[2], text[len(m[0]):]))
	case fromFile.MatchString(text):
		m := fromFile.FindStringSubmatchIndex(text)
		name := text[m[2]:m[3]]
		text = fmt.Sprintf("%sinvalid %s: %s", text[:m[0]], name, expected(fs, name, text[m[1]:]))
	case unknownName.MatchString(text):
		m := unknownName.FindStringSubmatchIndex(text)
		name := text[m[2]:m[3]]
		text = fmt.Sprintf("%sunknown flag %q%s", text[:m[0]], name, suggest(flagNames(fs), name, ""))
	}
	text = userOfURL.ReplaceAllString(text, "//")
	return Hint(&codeError{CodeMisuse, &reworded{text, err}}, "%s", cmp.Or(HintOf(err), hint))
}

// reworded is an error with another text.
type reworded struct {
	text string
	err  error
}

func (e *reworded) Error() string { return e.text }
func (e *reworded) Unwrap() error { return e.err }

// expected returns what a flag's value must be, where the flag package says only
// that it cannot be parsed.
func expected(fs *flag.FlagSet, name, said string) string {
	if said != "parse error" && said != "value out of range" {
		return said
	}
	f := fs.Lookup(name)
	if f == nil {
		return said
	}
	if b, ok := f.Value.(interface{ IsBoolFlag() bool }); ok && b.IsBoolFlag() {
		return "must be true or false"
	}
	if _, err := strconv.ParseFloat(f.DefValue, 64); err == nil {
		return "must be a number"
	}
	return "must be a duration such as 30s or 5m"
}

// flagNames lists the flags of a set, and those that every tool has.
func flagNames(fs *flag.FlagSet) []string {
	names := []string{"help", "version"}
	fs.VisitAll(func(f *flag.Flag) { names = append(names, f.Name) })
	return names
}

// suggest returns " (did you mean --to?)" if one of the names is likely meant.
func suggest(names []string, name, prefix string) string {
	short := map[string]string{"v": "verbose", "q": "quiet", "V": "version"}
	if near := cmp.Or(short[name], nearest.Likely(strings.ReplaceAll(name, "_", "-"), names)); near != "" && near != name {
		return fmt.Sprintf(" (did you mean %s%s?)", prefix, near)
	}
	return ""
}

// dashes writes a flag as a person has: one letter has one hyphen.
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
		return "a secret on the command line is seen by every user of this host; name a file that holds it"
	}
	return ""
}

// warnVariables names variables that begin like a tool's own and are none.
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
