package main

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/config"
	"k0rdent-airgap/lib/k0s"
	"k0rdent-airgap/tests/clitest"
)

// parse reads a configuration file and checks the settings.
func parse(t *testing.T, text string, mode os.FileMode, args ...string) (*settings, error) {
	t.Helper()
	c := &settings{}
	if err := clitest.ParseFile(t, c.flags(), cli.File{Parse: c.parseFile}, text, mode, args...); err != nil {
		return c, err
	}
	return c, c.check()
}

// TestConfigFile reads a file with settings of both tools.
func TestConfigFile(t *testing.T) {
	c, err := parse(t, `
k0s:
  binary: /opt/k0s
  version: 1.32.8+k0s.0
  images: registry
  api: {address: 10.0.0.10, port: 6444, sans: [a.example.org, b.example.org]}
  network: {provider: calico, podCIDR: 10.1.0.0/16, serviceCIDR: 10.2.0.0/16}
  storage: {type: etcd, etcd: {peerAddress: 10.0.0.11}}
k0rdent: {version: 1.2.3, helm: {values: {controller: {replicas: 2}}}}
airgap:
  registry: {address: 10.0.0.5:5000/p, insecure: false, ca: /ca.pem, username: u, passwordFile: /pw}
debug: true
timeout: 1h
helm-timeout: 5m
set: [a=b]
ignore: [disk, time]
`, 0o644, "--api-port", "6445")
	if err != nil {
		t.Fatal(err)
	}
	got := fmt.Sprint(c.k0s, c.k0sVersion, c.k0sImages, c.api, c.network, c.storageType, c.etcdPeerAddress,
		c.At, c.CA, c.PlainHTTP, c.Username, c.PasswordFile, c.Verbose, c.timeout, c.ignore)
	want := "/opt/k0sv1.32.8+k0s.0registry{10.0.0.106445[a.example.orgb.example.org]}{calico10.1.0.0/1610.2.0.0/16}etcd10.0.0.11" +
		"10.0.0.5:5000/p/ca.pemfalseu/pwtrue1h0m0s[disktime]"
	if got = strings.Join(strings.Fields(got), ""); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestConfigFileErrors(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		mode       os.FileMode
		want       []string
	}{
		{"unknown keys", "k0s:\n  netwrok: {}\nairgap:\n  registry:\n    addres: x\n", 0o600, []string{"line 2: unknown key netwrok (did you mean network?)", "line 5: unknown key addres (did you mean address?)"}},
		{"a value that the flag refuses", "k0s: {storage: {type: zfs}}", 0o600, []string{`invalid k0s.storage.type "zfs": must be etcd or kine`}},
		{"a flag's value", "timeout: soon", 0o600, []string{`invalid timeout "soon": must be a duration such as 30s or 5m`}},
		{"not a port", "k0s: {api: {port: verysecret}}", 0o600, []string{"line 1: must be a number"}},
		{"not a token", "join: {token: [verysecret]}", 0o600, []string{"line 1: must be a text"}},
		{"readable by all, with a secret", "join: {mode: worker, token: verysecret}", 0o644, []string{"contains secrets and is readable by others (mode 0644)"}},
		{"two documents", "debug: true\n---\ndebug: false\n", 0o600, []string{"more than one document"}},
		{"not a log level", "logLevel: loud", 0o600, []string{`logLevel "loud"`}},
	} {
		_, err := parse(t, tt.text, tt.mode)
		if cli.Code(err) != cli.CodeMisuse {
			t.Errorf("%s: error %v with code %d, want misuse", tt.name, err, cli.Code(err))
			continue
		}
		for _, w := range tt.want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%s: error %q, want %q in it", tt.name, err, w)
			}
		}
		if strings.Contains(err.Error(), "verysecret") {
			t.Errorf("%s: the error has the secret in it: %v", tt.name, err)
		}
	}
}

func TestConfigFileReadableByGroup(t *testing.T) {
	c, err := parse(t, "join: {mode: worker, token: x}", 0o640)
	if err != nil || len(c.file.warnings) != 1 || !strings.Contains(c.file.warnings[0], "chmod 600") {
		t.Errorf("%v, warnings %q, want one", err, c.file.warnings)
	}
	if c.join != k0s.RoleWorker {
		t.Errorf("join %q, want the file's", c.join)
	}
	if s := fmt.Sprintf("%v %+v %#v", c.file, c.file, c.file); strings.Contains(s, `"x"`) || strings.Contains(s, "{x}") {
		t.Errorf("the token is printed: %s", s)
	}
	if c, err := parse(t, "join: {mode: worker}", 0o644, "--reset"); err != nil || c.join != "" || !c.reset {
		t.Errorf("%v, join %q: --reset must take precedence over join.mode", err, c.join)
	}
	if _, err := parse(t, "debug: true", 0o644); err != nil {
		t.Errorf("%v: a file without a secret may be readable by everyone", err)
	}
}

// TestTemplate reads the output of --config-init with every example uncommented.
func TestTemplate(t *testing.T) {
	text := regexp.MustCompile(`(?m)^( *)# ((?: *- )?[ ]*[a-zA-Z0-9]+:)`).ReplaceAllString(config.Template, "$1$2")
	c, err := parse(t, text, 0o600)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if c.At != "10.0.0.5:5000" || c.join != k0s.RoleWorker || c.network.provider != "kuberouter" {
		t.Errorf("registry %q, join %q: the examples were not read", c.At, c.join)
	}
}

func TestConfigCheck(t *testing.T) {
	h := testHost(t)
	clitest.Write(t, h.config, "k0s: {api: {port: 6444}}\n")
	r := try(t, h, "", "--config-check")
	if s := r.Step("config"); r.Err != nil || s.Detail != h.config+" is valid" {
		t.Errorf("%v, %+v", r.Err, s)
	}
}
