package cli

import (
	"flag"
	"strings"
)

// Var declares a flag whose value is what parse returns. The error of parse
// must say what the value must be.
func Var[T any](fs *flag.FlagSet, to *T, name string, parse func(string) (T, error)) {
	fs.Func(name, "", func(s string) error {
		v, err := parse(s)
		if err == nil {
			*to = v
		}
		return err
	})
}

// ListVar declares a flag that may be repeated, or list several values with
// commas.
func ListVar[T any](fs *flag.FlagSet, to *[]T, name string, parse func(string) (T, error)) {
	fs.Func(name, "", func(s string) error {
		for one := range strings.SplitSeq(s, ",") {
			v, err := parse(strings.TrimSpace(one))
			if err != nil {
				return err
			}
			*to = append(*to, v)
		}
		return nil
	})
}
