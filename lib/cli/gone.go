package cli

import (
	"errors"
	"flag"
	"strings"
)

// gone is a flag that a tool no longer has.
type gone struct {
	what    string                    // happened to it
	instead func(value string) string // the hint
}

// Gone declares a flag that a tool no longer has. Anyone who still sets it, on the
// command line, by its variable or in the configuration file, learns what happened
// to it, such as "was removed", and what to use instead. It is not listed among the
// tool's flags.
func Gone(fs *flag.FlagSet, name, what string, instead func(value string) string) {
	fs.Var(gone{what, instead}, name, "")
}

func (g gone) String() string { return "" }

// Set returns what happened to the flag.
func (g gone) Set(value string) error {
	if value == "true" { // a flag without a value, in the file
		value = ""
	}
	return Hint(&goneError{errors.New(g.what)}, "%s", g.instead(value))
}

// goneError is an error about a flag that is gone. Its text follows a name.
type goneError struct{ error }

// IsGone reports whether a flag is one that its tool no longer has.
func IsGone(f *flag.Flag) bool {
	v := f.Value
	if w, ok := v.(*watched); ok {
		v = w.Value
	}
	_, ok := v.(gone)
	return ok
}

// checkGone finds the first flag among args that is gone. It comes before the
// check for unknown flags, some of which went with it.
func checkGone(fs *flag.FlagSet, args []string) error {
	for i, a := range args {
		if a == "--" {
			return nil
		}
		name, value, valued := strings.Cut(strings.TrimLeft(a, "-"), "=")
		f := fs.Lookup(name)
		if f == nil || !strings.HasPrefix(a, "-") || !IsGone(f) {
			continue
		}
		if !valued && i+1 < len(args) && !strings.HasPrefix(args[i+1], "-") {
			value = args[i+1]
		}
		err := f.Value.Set(value)
		return misuse(fs, err, "", "--%s %v", name, err)
	}
	return nil
}
