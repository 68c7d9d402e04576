package cli

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// Flags are found in any position; "--" ends them.
func TestFlagsInAnyPosition(t *testing.T) {
	for _, tt := range []struct {
		args     []string
		operands []string
		listen   string
		on       bool
	}{
		{[]string{"a", "--listen", "x", "b", "--on"}, []string{"a", "b"}, "x", true},
		{[]string{"--on", "a", "--listen=x"}, []string{"a"}, "x", true},
		{[]string{"a", "-on", "-", "-listen", "-x"}, []string{"a", "-"}, "-x", true},
		{[]string{"a", "--listen", "--x", "--", "--on"}, []string{"a", "--on"}, "--x", false},
		{[]string{"--", "--listen"}, []string{"--listen"}, "default", false},
		{[]string{"a", "--listen=--on"}, []string{"a"}, "--on", false},
		{[]string{"a", "--on=false", "\u2013x"}, []string{"a", "\u2013x"}, "default", false},
	} {
		var c testConfig
		fs := c.flags()
		if err := Parse(fs, tt.args, "usage", io.Discard, 2); err != nil || !slices.Equal(fs.Args(), tt.operands) || c.listen != tt.listen || c.on != tt.on {
			t.Errorf("Parse(%q) = %v, operands %q, --listen %q, --on %v", tt.args, err, fs.Args(), c.listen, c.on)
		}
	}
}

// A contradiction names flags as they were set: on the command line, by
// variables or in the configuration file.
func TestNamed(t *testing.T) {
	file := filepath.Join(t.TempDir(), "conf")
	if err := os.WriteFile(file, []byte("on\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		env  string // value of MY_TOOL_LISTEN
		args []string
		want string
	}{
		{"", []string{"--listen", "x", "--on"}, `--on requires --n; invalid --listen "x": no`},
		{"x", []string{"--on"}, `--on requires --n; invalid MY_TOOL_LISTEN="x": no`},
		{"x", []string{"--listen", "y", "--config", file}, "on in " + file + ` requires --n; invalid --listen "x": no`},
	} {
		t.Setenv("MY_TOOL_LISTEN", tt.env)
		var c testConfig
		fs := c.flags()
		if err := Parse(fs, tt.args, "usage", io.Discard, 0); err != nil {
			t.Fatal(err)
		}
		err := Named(fs, Hint(Misuse("--on requires --n; invalid --listen %q: no", "x"), "see --on"))
		if err.Error() != tt.want || Code(err) != CodeMisuse || HintOf(err) != "see --on" {
			t.Errorf("%q with the variable %q: %v, want %s", tt.args, tt.env, err, tt.want)
		}
	}
	t.Setenv("MY_TOOL_LISTEN", "")
	var c testConfig
	fs := c.flags()
	if err := ParseFile(fs, []string{"--config", file}, "", io.Discard, 0, File{Parse: func(_ io.Reader, set Setter) error {
		return set("server.address", "listen", "x")
	}}); err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf(`invalid server.address in %s "x": no`, file)
	if err := Named(fs, Misuse("invalid --listen %q: no", "x")); err.Error() != want {
		t.Errorf("a value of a file with keys: %v, want %s", err, want)
	}
	if err := Named(nil, io.EOF); err != io.EOF {
		t.Errorf("another error became %v", err)
	}
}

// Each kind of value is refused in the same words, wherever it comes from.
func TestValuesAreRefused(t *testing.T) {
	file := filepath.Join(t.TempDir(), "conf")
	for _, tt := range []struct{ name, value, why string }{
		{"jobs", "x", "must be a positive integer"},
		{"jobs", "0", "must be a positive integer"},
		{"jobs", "1.5", "must be a positive integer"},
		{"port", "65536", "must be a number from 1 to 65535"},
		{"port", "0", "must be a number from 1 to 65535"},
		{"mode", "onwer", "must be owner, loopback or any (did you mean owner?)"},
		{"mode", "Owner", "must be owner, loopback or any (did you mean owner?)"},
		{"mode", "nobody", "must be owner, loopback or any"},
		{"only", "yes", "must be auto"},
		{"only", "false", "must be auto"},
		{"wait", "0", "must be a duration such as 30s or 5m"},
		{"wait", "-5s", "must be a duration such as 30s or 5m"},
		{"wait", "5 minutes", "must be a duration such as 30s or 5m"},
		{"size", "1X", "must be a size such as 500M or 1.5GiB"},
	} {
		named := func(args ...string) error {
			var c Common
			fs := NewFlagSet("my-tool", &c)
			var jobs, port int
			mode, only, wait := "owner", "", time.Minute
			CountVar(fs, &jobs, "jobs")
			PortVar(fs, &port, "port", 1)
			ChoiceVar(fs, &mode, "mode", "owner", "loopback", "any")
			ChoiceVar(fs, &only, "only", "auto")
			DurationVar(fs, &wait, "wait")
			Var(fs, new(int64), "size", ParseSize)
			return Parse(fs, args, "usage", io.Discard, 0)
		}
		variable := "MY_TOOL_" + strings.ToUpper(tt.name)
		if err := os.WriteFile(file, []byte(tt.name+" "+tt.value+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		t.Setenv(variable, tt.value)
		fromVariable := named()
		t.Setenv(variable, "")
		for what, err := range map[string]error{
			"invalid --" + tt.name + ` "` + tt.value + `": ` + tt.why:                named("--"+tt.name, tt.value),
			"invalid " + variable + `="` + tt.value + `": ` + tt.why:                 fromVariable,
			file + ": line 1: invalid " + tt.name + ` "` + tt.value + `": ` + tt.why: named("--config", file),
		} {
			if err == nil || err.Error() != what || Code(err) != CodeMisuse {
				t.Errorf("error %v, want %s", err, what)
			}
		}
	}
}

func TestDurationVar(t *testing.T) {
	for text, want := range map[string]string{"90": "1m30s", "90s": "1m30s", "1h30m": "1h30m0s", "0.5s": "500ms"} {
		var c Common
		fs := NewFlagSet("my-tool", &c)
		wait := time.Minute
		DurationVar(fs, &wait, "wait")
		if err := fs.Parse([]string{"--wait", text}); err != nil || wait.String() != want {
			t.Errorf("--wait %s = %v, %v, want %s", text, wait, err, want)
		}
	}
}

func TestParseSize(t *testing.T) {
	for text, want := range map[string]int64{
		"0": 0, "1048576": 1 << 20, "64MiB": 64 << 20, "64mib": 64 << 20, "100MB": 100e6, "500M": 500 << 20, "1G": 1 << 30, "1g": 1 << 30,
		"1.5GiB": 3 << 29, "2 TB": 2e12, "1T": 1 << 40, "3k": 3 << 10, "3kB": 3000, "7b": 7, "2Gi": 2 << 30,
	} {
		if got, err := ParseSize(text); err != nil || got != want {
			t.Errorf("ParseSize(%q) = %d, %v, want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "G", "-1", "-1G", "1GG", "1iB", "lots", "inf", "NaN", "1e3", "0x10", "1_000", "+1", "9000000T", "1,5G"} {
		if got, err := ParseSize(text); err == nil {
			t.Errorf("ParseSize(%q) = %d, want an error", text, got)
		}
	}
}
