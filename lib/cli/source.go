package cli

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"regexp"
	"time"
)

// source is where the value of a flag comes from.
type source int

const (
	argument source = iota
	variable
	line // of the configuration file
)

// parsing is the state of one Parse.
type parsing struct {
	source  source   // what is being read
	key     string   // in the configuration file, of the value being set
	refused *refusal // the last one
}

// refusal is the error for a value that a flag does not accept.
type refusal struct {
	name, value string // name as the caller wrote it: --to, OCI_PUSH_TO, or a key
	err         error
	source      source
}

func (r *refusal) Unwrap() error { return r.err }

func (r *refusal) Error() string {
	if _, gone := errors.AsType[*goneError](r.err); gone {
		return r.name + " " + r.err.Error()
	}
	if r.source == variable {
		return fmt.Sprintf("invalid %s=%q: %v", r.name, r.value, r.err)
	}
	return fmt.Sprintf("invalid %s %q: %v", r.name, r.value, r.err)
}

// watched is a flag's value that records where its value comes from, and when it
// refuses one, which the flag packages report only in prose.
type watched struct {
	flag.Value
	name, variable string
	source         source // of the value, if it was set
	key            string // in the configuration file, if it was set there
	parsing        *parsing
}

// watch makes the flags of a set record what they are set to.
func watch(fs *flag.FlagSet) *parsing {
	p := new(parsing)
	fs.VisitAll(func(f *flag.Flag) {
		f.Value = &watched{Value: f.Value, name: f.Name, variable: envPrefix(fs.Name()) + "_" + envPrefix(f.Name), parsing: p}
	})
	return p
}

func (w *watched) Set(s string) error {
	w.source, w.key = w.parsing.source, w.parsing.key
	err := w.Value.Set(s)
	if err != nil {
		name := [...]string{argument: "--" + w.name, variable: w.variable, line: w.key}[w.source]
		w.parsing.refused = &refusal{name, s, cmp.Or(rule(w.Value, err), err), w.source}
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

// inText matches a flag in a message, and its value if that follows.
var inText = regexp.MustCompile(`--([a-z][a-z0-9-]*)( "[^"]*")?`)

// Named returns a misuse error in which flags have the names under which the
// caller set them: variables, or keys in the configuration file. It returns
// other errors unchanged.
func Named(fs *flag.FlagSet, err error) error {
	if !IsMisuse(err) {
		return err
	}
	text := inText.ReplaceAllStringFunc(err.Error(), func(found string) string {
		m := inText.FindStringSubmatch(found)
		f := fs.Lookup(m[1])
		if f == nil {
			return found
		}
		w, _ := f.Value.(*watched)
		switch {
		case w == nil || w.source == argument:
			return found
		case w.source == variable && m[2] != "":
			return w.variable + "=" + m[2][1:]
		case w.source == variable:
			return w.variable
		}
		return fmt.Sprintf("%s in %s%s", w.key, fs.Lookup("config").Value, m[2])
	})
	if text == err.Error() {
		return err
	}
	return &reworded{text, err}
}
