package cli

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"

	"k0rdent-airgap/lib/nearest"
)

// asked finds --help or --version among the flags, or one of these words as the
// only argument, or --config-init where there is a template. They are not flags
// of the set, since variables can set each of those, and OCI_PUSH_VERSION in the
// environment must not stop the program.
func asked(args []string, template bool) string {
	if len(args) == 1 && (args[0] == "help" || args[0] == "version") {
		if _, err := os.Stat(args[0]); err != nil {
			return args[0]
		}
	}
	for _, a := range args {
		switch a {
		case "-h", "-help", "--help":
			return "help"
		case "-version", "--version":
			return "version"
		case "-config-init", "--config-init":
			if template {
				return "template"
			}
		case "--":
			return ""
		}
	}
	return ""
}

// arrange returns args as the flag package expects them, with the flags before
// the operands. "--" ends the flags. It returns misuse for flags that are
// unknown or lack their value.
func arrange(fs *flag.FlagSet, args []string) ([]string, error) {
	if err := checkGone(fs, args); err != nil {
		return nil, err
	}
	var flags, operands []string
	for i := 0; i < len(args); i++ {
		if args[i] == "--" {
			operands = append(operands, args[i+1:]...)
			break
		}
		name, isFlag := flagName(fs, args[i])
		if !isFlag {
			operands = append(operands, args[i])
			continue
		}
		f := fs.Lookup(name)
		typed, _, _ := strings.Cut(args[i], "=")
		switch {
		case f == nil:
			return nil, misuse(fs, nil, elsewhere(fs.Name(), name), "unknown flag %s%s", typed, suggest(fs, name, "--"))
		case typed != "-"+name && typed != "--"+name:
			return nil, misuse(fs, nil, "", "unknown flag %s (did you mean --%s?)", typed, name)
		}
		flags = append(flags, args[i])
		if isBool(f.Value) || strings.Contains(args[i], "=") {
			continue
		}
		if i++; i == len(args) || isFlagOf(fs, args[i]) {
			return nil, misuse(fs, nil, "", "--%s requires a value", name)
		}
		flags = append(flags, args[i])
	}
	return slices.Concat(flags, []string{"--"}, operands), nil
}

// flagName returns the name in an argument that is a flag, and false for an
// operand. A flag of the set may also begin with a dash of another length, as
// word processors write it, so that the error can name the flag.
func flagName(fs *flag.FlagSet, arg string) (name string, isFlag bool) {
	name, _, _ = strings.Cut(strings.TrimLeft(arg, "-\u2013\u2014"), "=")
	hyphen := strings.HasPrefix(arg, "-") && len(arg) > 1
	return name, hyphen || len(name) < len(arg) && fs.Lookup(name) != nil
}

// isFlagOf reports whether an argument is a flag of the set, with two hyphens.
func isFlagOf(fs *flag.FlagSet, arg string) bool {
	name, found := strings.CutPrefix(arg, "--")
	name, _, _ = strings.Cut(name, "=")
	return found && (slices.Contains(flagNames(fs), name))
}

// ErrUnexpected is the cause of the error for more operands than a tool takes.
var ErrUnexpected = errors.New("unexpected argument")

// CheckOperands returns misuse if there are more than most operands.
func CheckOperands(fs *flag.FlagSet, most int) error {
	rest := fs.Args()
	if len(rest) <= most {
		if len(rest) > 0 && strings.Contains(rest[0], "://") {
			return Hint(Misuse("%s: a URL, not a file", rest[0]), "get the file first: curl -LO %s", rest[0])
		}
		return nil
	}
	extra := rest[most]
	text := fmt.Sprintf("unexpected argument %q%s", extra, nearest.Meant(extra, flagNames(fs), "--"))
	err := Misuse("%w", &reworded{text, ErrUnexpected})
	if most > 0 {
		return Hint(err, "%s takes one argument; quote a name that contains spaces", fs.Name())
	}
	return Hint(err, "%s takes flags only; %s --help lists them", fs.Name(), fs.Name())
}
