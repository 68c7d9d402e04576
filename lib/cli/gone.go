package cli

import (
	"errors"
	"flag"
	"strings"
)

// Gone is a flag that a tool no longer has. Anyone who still sets it, on the
// command line, by its variable or in the configuration file, learns what to
// use instead. It is not listed among the tool's flags.
type Gone struct {
	What    string                    // what happened to it, such as "was removed"
	Instead func(value string) string // the hint
	Boolean bool                      // it took no value
}

// Add adds it to a flag set.
func (g *Gone) Add(fs *flag.FlagSet, name string) { fs.Var(g, name, "") }

func (g *Gone) String() string   { return "" }
func (g *Gone) IsBoolFlag() bool { return g.Boolean }
func (g *Gone) Gone() bool       { return true }

// Set returns what happened to the flag.
func (g *Gone) Set(value string) error {
	if g.Boolean && value == "true" {
		value = ""
	}
	return Hint(&goneError{errors.New(g.What)}, "%s", g.Instead(value))
}

// goneError is an error about a flag that is gone. Its text follows a name.
type goneError struct{ error }

// isGone reports whether a flag is one that its tool no longer has.
func isGone(f *flag.Flag) bool {
	v := f.Value
	if w, ok := v.(*watched); ok {
		v = w.Value
	}
	_, ok := v.(*Gone)
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
		if f == nil || !strings.HasPrefix(a, "-") || !isGone(f) {
			continue
		}
		if !valued && !isBool(f.Value) && i+1 < len(args) && !strings.HasPrefix(args[i+1], "-") {
			value = args[i+1]
		}
		err := f.Value.Set(value)
		return misuse(fs, err, "", "--%s %v", name, err)
	}
	return nil
}
