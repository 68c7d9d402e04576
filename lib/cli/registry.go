package cli

import (
	"flag"
	"path/filepath"
	"strings"
	"time"
)

// Registry holds the flags of a tool that uses a registry.
type Registry struct {
	At, CA, Username, PasswordFile string

	PlainHTTP, SkipVerify bool
	Timeout               time.Duration // of the first answer
}

// Flags adds the flags to a set, with at for the registry's address.
func (r *Registry) Flags(fs *flag.FlagSet, at string, timeout time.Duration) {
	fs.StringVar(&r.At, at, "", "")
	r.AccessFlags(fs, timeout)
}

// AccessFlags is like Flags for a tool that declares the flag for the address
// itself.
func (r *Registry) AccessFlags(fs *flag.FlagSet, timeout time.Duration) {
	fs.StringVar(&r.CA, "ca", "", "")
	fs.StringVar(&r.Username, "username", "", "")
	fs.StringVar(&r.PasswordFile, "password-file", "", "")
	fs.BoolVar(&r.PlainHTTP, "plain-http", false, "")
	r.Timeout = timeout
	DurationVar(fs, &r.Timeout, "answer-timeout")
}

// Check returns misuse if the flags contradict each other, and makes paths
// absolute.
func (r *Registry) Check() error {
	if err := Exclusive([]string{"--ca", "--plain-http"}, r.CA != "", r.PlainHTTP); err != nil {
		return err
	}
	if err := Together("--username", "--password-file", r.Username != "", r.PasswordFile != ""); err != nil {
		return err
	}
	r.At = strings.TrimSuffix(r.At, "/")
	return Absolute(&r.CA, &r.PasswordFile)
}

// Absolute makes paths absolute, since they are written to records and to files
// in other directories. Empty ones stay empty.
func Absolute(paths ...*string) error {
	for _, p := range paths {
		if *p == "" {
			continue
		}
		abs, err := filepath.Abs(*p)
		if err != nil {
			return err
		}
		*p = abs
	}
	return nil
}
