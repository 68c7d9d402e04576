package cli

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/peterbourgon/ff/v3"

	"k0rdent-airgap/lib/record"
	"k0rdent-airgap/lib/textfile"
)

// Common holds the flags that every tool has.
type Common struct {
	Quiet   bool
	Verbose bool
	Format  *record.Format // set before NewFlagSet; nil for a tool without records
}

// A FlagSet holds the flags and operands of a tool.
type FlagSet = flag.FlagSet

// NewFlagSet returns a tool's flag set with the common flags.
func NewFlagSet(name string, c *Common) *flag.FlagSet {
	fs := flag.NewFlagSet(name, flag.ContinueOnError)
	fs.BoolVar(&c.Quiet, "quiet", false, "")
	fs.BoolVar(&c.Verbose, "verbose", false, "")
	fs.String("config", "", "")
	if c.Format != nil {
		fs.Var(c.Format, "format", "")
	}
	return fs
}

// Parse fills the flags from args, then from the environment (OCI_PUSH_TO for
// --to of oci-push), then from the file that --config names. --help and
// --version print to stdout; the caller must then return the error, which
// results in exit code 0. At most operands operands may remain.
func Parse(fs *flag.FlagSet, args []string, usage string, stdout io.Writer, operands int) error {
	return ParseFile(fs, args, usage, stdout, operands, File{Parse: parseConfig})
}

// File is a configuration file in a tool's own format.
type File struct {
	// Default is read if --config is not given; it may be missing.
	Default string
	// Parse calls set for each flag that has a value in the file. set does
	// not change flags that were already set on the command line or by
	// variables.
	Parse func(r io.Reader, set Setter) error
	// Template is what --config-init prints, in place of reading the file: what
	// it prints must not have to be right for it to be printed.
	Template string
}

// A Setter sets a flag to a value from a configuration file. Errors name the key
// that has the value there.
type Setter func(key, flag, value string) error

// ParseFile is like Parse, for a tool whose configuration file holds more than
// the values of flags.
func ParseFile(fs *flag.FlagSet, args []string, usage string, stdout io.Writer, operands int, file File) error {
	stderr := fs.Output()
	fs.SetOutput(io.Discard) // the flag package would print each error a second time
	switch asked(args, file.Template != "") {
	case "help":
		fmt.Fprint(stdout, usage)
		return errShown
	case "version":
		fmt.Fprintf(stdout, "%s %s\n", fs.Name(), Version())
		return errShown
	case "template":
		fmt.Fprint(stdout, file.Template)
		return errShown
	}
	if err := parseAll(fs, args, file); err != nil {
		return err
	}
	if err := siteFormat(fs); err != nil {
		return err
	}
	warnVariables(fs, stderr, os.Environ())
	return CheckOperands(fs, operands)
}

// parseAll parses args, then lets ff read the variables and the file. With two
// steps, the source of an error is known without parsing its text.
func parseAll(fs *flag.FlagSet, args []string, file File) error {
	if file.Default != "" {
		config := fs.Lookup("config")
		if err := config.Value.Set(file.Default); err != nil {
			return err
		}
		config.DefValue = file.Default
	}
	p := watch(fs)
	args, err := arrange(fs, args)
	if err != nil {
		return err
	}
	if err := fs.Parse(args); err != nil {
		return invalid(fs, p.refused, err)
	}
	named := os.Getenv(envPrefix(fs.Name())+"_CONFIG") != ""
	fs.Visit(func(f *flag.Flag) { named = named || f.Name == "config" })
	p.source = variable
	opts := []ff.Option{
		ff.WithEnvVarPrefix(envPrefix(fs.Name())), ff.WithConfigFileFlag("config"),
		ff.WithAllowMissingConfigFile(file.Default != "" && !named),
		ff.WithConfigFileParser(func(r io.Reader, set func(name, value string) error) error {
			return p.readFile(fs, r, file, set)
		}),
	}
	// ff opens and reads the configuration file itself, which may be a pipe.
	operands := append([]string{"--"}, fs.Args()...)
	refused, err := textfile.Patiently("", func() (*refusal, error) {
		err := ff.Parse(fs, operands, opts...)
		return p.refused, err
	})
	if p, ok := errors.AsType[*os.PathError](err); ok && p.Error() == err.Error() { // the file cannot be opened
		return Named(fs, misuse(fs, err, "", "--config: %v", err))
	}
	return invalid(fs, refused, err) // from a variable: readFile clears refusals from the file
}

// invalid returns misuse for an error of the flag packages, which may be about a
// value that was refused.
func invalid(fs *flag.FlagSet, refused *refusal, err error) error {
	switch {
	case err == nil:
		return nil
	case refused != nil:
		return misuse(fs, refused.err, "", "%v", refused)
	}
	return misuse(fs, err, "", "%v", err)
}

// readFile reads the configuration file. Its errors name the file and what is
// wrong with it.
func (p *parsing) readFile(fs *flag.FlagSet, r io.Reader, file File, set func(name, value string) error) error {
	p.source = line
	err := file.Parse(r, func(key, name, value string) error {
		p.key = key
		err := set(name, value)
		if err == nil {
			return nil
		}
		refused := p.refused
		if refused == nil {
			return fmt.Errorf("unknown flag %q%s", name, suggest(fs, name, ""))
		}
		p.refused = nil
		return refused
	})
	if err != nil {
		return fmt.Errorf("%s: %w", fs.Lookup("config").Value, err)
	}
	return nil
}

// Source names what the settings of a tool with a file of its own come from:
// that file, if it was read.
func Source(fs *flag.FlagSet, read bool) string {
	if !read {
		return "the command line (there is no configuration file)"
	}
	return fs.Lookup("config").Value.String()
}

// envPrefix returns the prefix of a tool's variables, whose names cannot
// contain hyphens.
func envPrefix(name string) string {
	return strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
}

// Env returns the value of a variable that is not named after a tool's flag,
// such as a site-wide one. A tool uses it as the default of a flag.
func Env(name string) string { return os.Getenv(name) }

// parseConfig reads a configuration file: on each line a flag's name, white
// space or "=", and its value. Lines that start with "#" are comments; a later
// "#" is part of the value. A name alone turns a flag on.
func parseConfig(r io.Reader, set Setter) error {
	s := bufio.NewScanner(textfile.NewReader(r))
	for n := 1; s.Scan(); n++ {
		line := strings.TrimSpace(s.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		name, value := line, "true"
		if i := strings.IndexAny(line, " \t="); i >= 0 {
			name, value = line[:i], strings.TrimSpace(line[i:])
			value = strings.TrimSpace(strings.TrimPrefix(value, "="))
		}
		name = strings.TrimLeft(name, "-")
		if err := set(name, name, value); err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
	}
	return s.Err()
}

// CheckStdin returns misuse if stdin is a terminal, on which a tool would wait
// silently.
func CheckStdin(stdin io.Reader) error {
	if isTerminal(stdin) {
		return Hint(Misuse("no input: name a file, or pipe records in"), "--help shows examples")
	}
	return nil
}

// IsMisuse reports whether an error stands for exit code 2.
func IsMisuse(err error) bool {
	c, coded := errors.AsType[*codeError](err)
	return coded && c.code == CodeMisuse
}
