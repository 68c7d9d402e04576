package cli

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

func TestCode(t *testing.T) {
	tests := []struct {
		name string
		err  error
		want int
	}{
		{"nothing wrong", nil, 0},
		{"help", fmt.Errorf("x: %w", errShown), 0},
		{"plain error", errors.New("x"), 1},
		{"misuse", fmt.Errorf("x: %w", Misuse("y")), 2},
		{"misuse with a hint", Hint(Misuse("y"), "z"), 2},
		{"try again", fmt.Errorf("x: %w", TryAgain(Hint(errors.New("y"), "z"))), 75},
		{"interrupted", ErrInterrupted, 130},
		{"cancelled without a signal", context.Canceled, 1},
	}
	for _, tt := range tests {
		if got := Code(tt.err); got != tt.want {
			t.Errorf("%s: Code(%v) = %d, want %d", tt.name, tt.err, got, tt.want)
		}
	}
}

func TestReportCannotBeFooledByNames(t *testing.T) {
	var out bytes.Buffer
	Report(&out, "tool", Hint(fmt.Errorf("entry %s: bad", "a\x1b[2J\ntool: all is well"), "look"))
	if got, want := out.String(), "tool: entry a [2J; tool: all is well: bad\nhint: look\n"; got != want {
		t.Errorf("reported %q, want %q", got, want)
	}
}

// A full disk that fails several writes is reported once.
func TestReportSaysThingsOnce(t *testing.T) {
	full := errors.New("write /dev/stdout: no space left on device")
	var out bytes.Buffer
	Report(&out, "tool", errors.Join(full, errors.Join(full, errors.New("other"))))
	if got, want := out.String(), "tool: write /dev/stdout: no space left on device; other\n"; got != want {
		t.Errorf("reported %q, want %q", got, want)
	}
}

func TestHintForRoot(t *testing.T) {
	denied := &os.PathError{Op: "open", Path: "/usr/local/bin/k0s", Err: syscall.EACCES}
	for _, tt := range []struct {
		err  error
		uid  int
		want string
	}{
		{fmt.Errorf("x: %w", denied), 1000, "run it as root"},
		{&os.LinkError{Op: "rename", Old: "a", New: "b", Err: syscall.EPERM}, 1000, "run it as root"},
		{denied, -1, "run it as an administrator"},
		{denied, 0, ""},
		{&os.PathError{Op: "open", Path: "x", Err: syscall.ENOENT}, 1000, ""},
		{os.NewSyscallError("connect", syscall.EACCES), 1000, ""},
	} {
		if got := hintFor(tt.err, tt.uid); (got == "") != (tt.want == "") || !strings.HasPrefix(got, tt.want) {
			t.Errorf("hint of %v as user %d = %q, want %q", tt.err, tt.uid, got, tt.want)
		}
	}
}

type testConfig struct {
	Common
	listen string
	n      int
	on     bool
}

func (c *testConfig) flags() *flag.FlagSet {
	fs := NewFlagSet("my-tool", &c.Common)
	fs.StringVar(&c.listen, "listen", "default", "")
	fs.IntVar(&c.n, "n", 1, "")
	fs.BoolVar(&c.on, "on", false, "")
	ListVar(fs, new([]int), "of", parseEven)
	return fs
}

func parseEven(s string) (int, error) {
	n, err := strconv.Atoi(s)
	if err == nil && n%2 != 0 {
		err = errors.New("odd")
	}
	if err != nil {
		err = Hint(errors.New("must be even"), "try 2")
	}
	return n, err
}

// A list grows with each use of its flag, and is complete even if it comes from
// a variable or the file. Any other flag has its last value.
func TestVar(t *testing.T) {
	file := filepath.Join(t.TempDir(), "conf")
	if err := os.WriteFile(file, []byte("list 2,4\none 8\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		variable string
		args     []string
		want     []int
		one      int
	}{
		{"", []string{"--list", "2, 4", "--list=6", "--one=2", "--one=4", "-"}, []int{2, 4, 6}, 4},
		{"2,4", nil, []int{2, 4}, 0},
		{"2,4", []string{"--list", "6", "--config", file}, []int{6}, 8},
		{"", []string{"--config", file, "--", "--list"}, []int{2, 4}, 8},
	} {
		t.Setenv("MY_TOOL_LIST", tt.variable)
		var c Common
		var got []int
		var one int
		fs := NewFlagSet("my-tool", &c)
		ListVar(fs, &got, "list", parseEven)
		Var(fs, &one, "one", parseEven)
		if err := Parse(fs, tt.args, "", io.Discard, 1); err != nil {
			t.Errorf("Parse(%q) = %v", tt.args, err)
		}
		if !slices.Equal(got, tt.want) || one != tt.one {
			t.Errorf("Parse(%q) with the variable %q = %v, %d, want %v, %d", tt.args, tt.variable, got, one, tt.want, tt.one)
		}
	}
}

func TestParseOrder(t *testing.T) {
	file := filepath.Join(t.TempDir(), "conf")
	lines := "# comment\n\nlisten\tfrom file # not a comment\n--n = 7\non\n"
	if err := os.WriteFile(file, []byte(lines), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		env  map[string]string
		args []string
		want testConfig
	}{
		{"defaults", nil, nil, testConfig{listen: "default", n: 1}},
		{"file", nil, []string{"--config", file}, testConfig{listen: "from file # not a comment", n: 7, on: true}},
		{"environment beats file", map[string]string{"MY_TOOL_LISTEN": "env", "MY_TOOL_CONFIG": file}, nil, testConfig{listen: "env", n: 7, on: true}},
		{"flag beats environment", map[string]string{"MY_TOOL_LISTEN": "env"}, []string{"--listen", "flag", "--on=false", "operand"}, testConfig{listen: "flag", n: 1}},
		{"a version in the environment is not --version", map[string]string{"MY_TOOL_VERSION": "1.2", "MY_TOOL_HELP": "1"}, nil, testConfig{listen: "default", n: 1}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for k, v := range tt.env {
				t.Setenv(k, v)
			}
			var got testConfig
			if err := Parse(got.flags(), tt.args, "usage", &bytes.Buffer{}, 1); err != nil || got != tt.want {
				t.Errorf("Parse(%q) = %+v, %v, want %+v", tt.args, got, err, tt.want)
			}
		})
	}
}

func TestParseSuggestsWhatWasMeant(t *testing.T) {
	tests := []struct {
		args       []string
		want, hint string
	}{
		{[]string{"--listne", "x"}, "unknown flag --listne (did you mean --listen?)", "my-tool --help lists the flags"},
		{[]string{"--verb"}, "unknown flag --verb (did you mean --verbose?)", "my-tool --help"},
		{[]string{"-v"}, "unknown flag -v (did you mean --verbose?)", "my-tool --help"},
		{[]string{"-x"}, "unknown flag -x", "my-tool --help"},
		{[]string{"--password", "x"}, "unknown flag --password", "name a file that holds it"},
		{[]string{"--budle=x"}, "unknown flag --budle", "my-tool --help"},
		{[]string{"--key=x"}, "unknown flag --key", "bundle-verify --key FILE BUNDLE | my-tool"},
		{[]string{"a", "listne"}, `unexpected argument "listne" (did you mean --listen?)`, "my-tool takes one argument"},
		{[]string{"a", "--listne=x"}, "unknown flag --listne (did you mean --listen?)", "my-tool --help"},
		{[]string{"---n"}, "unknown flag ---n (did you mean --n?)", "my-tool --help"},
		{[]string{"\u2013\u2013listen", "x"}, "unknown flag \u2013\u2013listen (did you mean --listen?)", "my-tool --help"},
		{[]string{"\u2014n=1"}, "unknown flag \u2014n (did you mean --n?)", "my-tool --help"},
		{[]string{"--listen", "--on", "a"}, "--listen requires a value", "my-tool --help"},
		{[]string{"a", "b"}, `unexpected argument "b"`, "quote a name that contains spaces"},
		{[]string{"https://x/b.tgz"}, "https://x/b.tgz: a URL, not a file", "curl -LO https://x/b.tgz"},
		{[]string{"--n", "99999999999999999999"}, `invalid --n "99999999999999999999": must be a number`, ""},
		{[]string{"--listen"}, "--listen requires a value", "my-tool --help"},
		{[]string{"--of", "x"}, `invalid --of "x": must be even`, "try 2"},
		{[]string{"--of", "x,https://u:pw@h"}, `invalid --of "x,https://h": must be even`, "try 2"},
		{[]string{"--n", "a\"b: c"}, `invalid --n "a\"b: c": must be a number`, ""},
	}
	for _, tt := range tests {
		var c testConfig
		err := Parse(c.flags(), tt.args, "usage", io.Discard, 1)
		if err == nil || err.Error() != tt.want || !strings.Contains(HintOf(err), tt.hint) || Code(err) != CodeMisuse {
			t.Errorf("Parse(%q) = %v (code %d), hint %q, want %q, %q", tt.args, err, Code(err), HintOf(err), tt.want, tt.hint)
		}
	}
}

func TestUnknownVariablesAreNamed(t *testing.T) {
	for _, name := range []string{"MY_TOOL_LISTNE", "MY_TOOL_LISTEN", "MY_TOOL_FROBNICATE", "MY_TOOL_VERSION", "MY_TOOL_SERVICE_HOST", "MY_TOOL_PORT_80_TCP", "MY_TOOLS_N"} {
		t.Setenv(name, "x")
	}
	var stderr bytes.Buffer
	var c testConfig
	fs := c.flags()
	fs.SetOutput(&stderr)
	if err := Parse(fs, nil, "usage", io.Discard, 0); err != nil || c.listen != "x" {
		t.Fatalf("Parse = %+v, %v", c, err)
	}
	got := strings.Split(strings.TrimSpace(stderr.String()), "\n")
	slices.Sort(got)
	want := []string{"my-tool: ignoring unknown variable MY_TOOL_FROBNICATE", "my-tool: ignoring unknown variable MY_TOOL_LISTNE (did you mean MY_TOOL_LISTEN?)"}
	if !slices.Equal(got, want) {
		t.Errorf("stderr %q, want %q", got, want)
	}
}

// A file saved by Notepad reads as it appears there.
func TestConfigFileWithAMark(t *testing.T) {
	file := filepath.Join(t.TempDir(), "conf")
	if err := os.WriteFile(file, []byte("\xef\xbb\xbflisten x y\r\non\r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var got testConfig
	if err := Parse(got.flags(), []string{"--config", file}, "", io.Discard, 0); err != nil || got.listen != "x y" || !got.on {
		t.Errorf("Parse = %+v, %v", got, err)
	}
}

func TestParseNamesWhatIsWrong(t *testing.T) {
	file := filepath.Join(t.TempDir(), "conf")
	if err := os.WriteFile(file, []byte("n 1\nnosuch 2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	wrong := filepath.Join(t.TempDir(), "wrong")
	if err := os.WriteFile(wrong, []byte("n many\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		env  string // value of MY_TOOL_N
		args []string
		want string
	}{
		{"unknown flag", "", []string{"--nosuch"}, "unknown flag --nosuch"},
		{"no value", "", []string{"--listen"}, "--listen requires a value"},
		{"wrong value", "", []string{"--n", "x"}, `invalid --n "x": must be a number`},
		{"wrong boolean", "", []string{"--on=maybe"}, `invalid --on "maybe": must be true or false`},
		{"wrong variable", "x", nil, `invalid MY_TOOL_N="x": must be a number`},
		{"wrong value in a list", "", []string{"--of=2, 4", "--of", "6,7"}, `invalid --of "6,7": must be even`},
		{"wrong value in file", "", []string{"--config", wrong}, wrong + `: line 1: invalid n "many": must be a number`},
		{"unknown name in file", "", []string{"--config", file}, file + `: line 2: unknown flag "nosuch"`},
		{"wrong value after the operand", "", []string{"file", "--n", "x"}, `invalid --n "x": must be a number`},
		{"two operands", "", []string{"a", "b"}, `unexpected argument "b"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv("MY_TOOL_N", tt.env)
			var c testConfig
			err := Parse(c.flags(), tt.args, "usage", &bytes.Buffer{}, 1)
			if err == nil || err.Error() != tt.want || Code(err) != CodeMisuse {
				t.Errorf("Parse(%q) = %v (code %d), want %q (code 2)", tt.args, err, Code(err), tt.want)
			}
		})
	}
	for variable, args := range map[string][]string{"--config": {"--config", file + "x"}, "MY_TOOL_CONFIG": nil} {
		t.Setenv("MY_TOOL_CONFIG", file+"x")
		var c testConfig
		err := Parse(c.flags(), args, "", &bytes.Buffer{}, 1)
		if want := variable + ": open " + file + "x: "; !errors.Is(err, fs.ErrNotExist) || Code(err) != CodeMisuse || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("missing config file: %v, want %s and code 2", err, want)
		}
	}
}

func TestParseFile(t *testing.T) {
	dir := t.TempDir()
	standard, other := filepath.Join(dir, "standard"), filepath.Join(dir, "other")
	if err := errors.Join(os.WriteFile(standard, []byte("standard"), 0o600), os.WriteFile(other, []byte("other"), 0o600)); err != nil {
		t.Fatal(err)
	}
	missing := filepath.Join(dir, "missing")
	tests := []struct {
		name, standard string
		env            string
		args           []string
		want, wantErr  string
	}{
		{"the standard file", standard, "", nil, "standard", ""},
		{"another one", standard, "", []string{"--config", other}, "other", ""},
		{"another one, by a variable", standard, other, nil, "other", ""},
		{"the standard file is missing", missing, "", nil, "default", ""},
		{"one that was named is missing", standard, "", []string{"--config", missing}, "", missing + ": no such file"},
		{"the standard file is missing, and named", missing, "", []string{"--config", missing}, "", missing + ": no such file"},
		{"a flag beats the file", standard, "", []string{"--listen", "flag"}, "flag", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv("MY_TOOL_CONFIG", tt.env)
			var c testConfig
			err := ParseFile(c.flags(), tt.args, "", io.Discard, 0, File{Default: tt.standard, Parse: func(r io.Reader, set Setter) error {
				text, err := io.ReadAll(r)
				return errors.Join(err, set("address", "listen", string(text)))
			}})
			if tt.wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), tt.wantErr) || Code(err) != CodeMisuse {
					t.Errorf("error %v with code %d, want misuse: %s", err, Code(err), tt.wantErr)
				}
				return
			}
			if err != nil || c.listen != tt.want {
				t.Errorf("listen = %q, %v, want %q", c.listen, err, tt.want)
			}
		})
	}
}

func TestHelpAndVersionGoToStdout(t *testing.T) {
	for _, args := range [][]string{{"--help"}, {"-h"}, {"help"}, {"--listen", "x", "--help"}, {"file", "-h"}} {
		var c testConfig
		var out bytes.Buffer
		err := Parse(c.flags(), args, "the usage\n", &out, 1)
		if Code(err) != CodeDone || err == nil || out.String() != "the usage\n" {
			t.Errorf("%q: %v, %q, want the usage and code 0", args, err, out.String())
		}
	}
	for _, word := range []string{"--version", "version"} {
		var c testConfig
		var out bytes.Buffer
		if err := Parse(c.flags(), []string{word}, "", &out, 1); Code(err) != CodeDone || !strings.HasPrefix(out.String(), "my-tool ") {
			t.Errorf("%s: %v, %q", word, err, out.String())
		}
	}
}

func TestProgressLinesWithoutTerminal(t *testing.T) {
	var out bytes.Buffer
	p := NewProgress("tool", &out, false)
	p.Start("x", 10, func() int64 { return 5 })
	p.Item(0, ItemText("a:1", "pushed", 1234))
	p.Item(3, "b\nc")
	p.Warn("entry %s: odd", "x")
	p.Close()
	if got, want := out.String(), "[1] a:1 pushed 1.2 kB\n[2/3] b c\ntool: entry x: odd\n"; got != want {
		t.Errorf("wrote %q, want %q", got, want)
	}
	out.Reset()
	p = NewProgress("tool", &out, true)
	p.Item(1, "x")
	p.Warn("still printed")
	if got, want := out.String(), "tool: still printed\n"; got != want {
		t.Errorf("quiet wrote %q, want %q", got, want)
	}
}

// Whatever a configuration file holds, a name never contains white space or "="
// and a value never has white space around it.
func FuzzParseConfig(f *testing.F) {
	for _, s := range []string{"a b", "a=b", "--a\t= b # c", "# x", "a", "=", "\x00 \xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		parseConfig(strings.NewReader(in), func(_, name, value string) error {
			if strings.ContainsAny(name, " \t\n=") || strings.TrimSpace(value) != value {
				t.Errorf("%q: name %q, value %q", in, name, value)
			}
			return nil
		})
	})
}
