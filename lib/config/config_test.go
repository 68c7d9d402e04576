package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"k0rdent-airgap/lib/cli"
)

// file is the whole file as one of the two tools parses it.
type file struct {
	Common `yaml:",inline"`
	Flags  `yaml:",inline"`
	Own    struct {
		Port  int    `yaml:"port"`
		Token Secret `yaml:"token"`
	} `yaml:"own"`
	Others yaml.Node `yaml:"others"`
}

// apply parses a text and returns the flags that it sets.
func apply(text string) (string, error) {
	var f file
	if _, err := Decode(strings.NewReader(text), &f); err != nil {
		return "", err
	}
	own := cli.NewFlagSet("tool", &cli.Common{})
	own.String("timeout", "", "")
	own.String("ignore", "", "")
	var set []string
	err := f.Apply(func(_, flag, value string) error {
		if value == "bad" {
			return errors.New("it is bad")
		}
		set = append(set, flag+"="+value)
		return nil
	}, []Setting{One("own.port", "port", fmt.Sprint(f.Own.Port))}, f.Flags, own, []string{"theirs"})
	slices.Sort(set)
	return strings.Join(set, " "), err
}

func TestApply(t *testing.T) {
	for text, want := range map[string]string{
		"": "port=0",
		"own: {port: 7}\nothers: {whatever: [1]}\ntheirs: x\ntimeout: 1h\nignore: [a, b]\n": "ignore=a ignore=b port=7 timeout=1h",
		"airgap: {registry: {address: h, insecure: true, username: 7, passwordFile: /p}}":   "password-file=/p plain-http=true port=0 registry=h username=7",
		"debug: true": "port=0 verbose=true", "logLevel: trace": "port=0 verbose=true", "timeout:": "port=0",
	} {
		if got, err := apply(text); err != nil || got != want {
			t.Errorf("%q: %q, %v, want %q", text, got, err, want)
		}
	}
	for text, want := range map[string]string{
		"own: {prot: 7}\nairgap: {registry: {adress: h}}\n": "line 1: unknown key prot (did you mean port?); line 2: unknown key adress (did you mean address?)",
		"tiemout: 1h\nbeside: x\n":                          "line 1: unknown key tiemout; line 2: unknown key beside",
		"config: x\n":                                       "line 1: unknown key config",
		"airgpa: {}\n":                                      "line 1: unknown key airgpa (did you mean airgap?)",
		"timeout: {a: b}\n":                                 "line 1: timeout: must be a value or a list of values",
		"timeout: bad\n":                                    "it is bad",
		"own: {port: verysecret}":                           "line 1: must be a number",
		"own: 7":                                            "line 1: must be keys and values",
		"own: {token: [verysecret]}":                        "line 1: must be a text",
		"debug: true\ndebug: false":                         `line 2: mapping key "debug" already defined at line 1`,
		"own: {port: 1}\n---\nown: {port: 2}\n":             "more than one document",
		"logLevel: inof":                                    `invalid logLevel "inof": must be error, warn, info or debug (did you mean info?)`,
		"logLevel: loud":                                    `invalid logLevel "loud": must be error, warn, info or debug`,
	} {
		_, err := apply(text)
		if err == nil || err.Error() != want {
			t.Errorf("%q: error %v, want %q", text, err, want)
		}
	}
}

func TestPrivate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for mode, want := range map[os.FileMode]string{0o600: "", 0o640: "warning", 0o604: "error", 0o606: "error"} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		var warnings []string
		err = Private("it", f, &warnings)
		alone := Private("it", f, nil)
		f.Close()
		got := ""
		switch {
		case err != nil:
			got = "error"
		case len(warnings) > 0:
			got = "warning"
		}
		if (alone == nil) != (want == "") {
			t.Errorf("%04o: %v without warnings, want %s", mode, alone, want)
		}
		if got != want || want != "" && !strings.Contains(fmt.Sprint(warnings, err), fmt.Sprintf("it contains secrets and is readable by others (mode %04o); run chmod 600", mode)) {
			t.Errorf("%04o: %q %v, want %s", mode, warnings, err, want)
		}
	}
	if err := Private("it", strings.NewReader(""), nil); err != nil {
		t.Errorf("what is not a file: %v", err)
	}
}

// TestSecret checks that no format prints it.
func TestSecret(t *testing.T) {
	var f file
	if _, err := Decode(strings.NewReader("own: {token: 1234}"), &f); err != nil || f.Own.Token.Text() != "1234" || (Secret{}).Text() != "" {
		t.Fatalf("%q, %v", f.Own.Token.Text(), err)
	}
	for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
		if got := fmt.Sprintf(format, f.Own); strings.Contains(got, "1234") {
			t.Errorf("%s prints the secret: %s", format, got)
		}
	}
}
