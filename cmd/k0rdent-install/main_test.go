package main

import (
	"strings"
	"testing"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/cli/clitest"
	"k0rdent-airgap/lib/config"
)

func TestDocs(t *testing.T) {
	clitest.Docs(t, (&settings{}).flags(), usage, "../..")
}

func TestMisuse(t *testing.T) {
	tests := []struct{ args, want string }{
		{"--uninstall --upgrade", "--upgrade and --uninstall are mutually exclusive"},
		{"--registry https://10.0.0.5", "--registry"},
		{"--ca x --plain-http --registry h", "mutually exclusive"},
		{"--username u", "--username and --password-file must be given together"},
		{"--release-file x", "--release-file requires --upgrade"},
		{"--print-values --plan", "it needs no --plan"},
		{"--ignore luck", `--ignore "luck": must be one of cpu disk`},
		{"--timeout 0s", "--timeout 0s"},
		{"--values /no/such/file", "--values: "},
		{"--set x", "--set x"},
		{"x", `unexpected argument "x"`},
		{"--no-such-flag", "unknown flag --no-such-flag"},
		{"--join worker --token-file /t", "--join moved to k0s-up"},
		{"--purge", "--purge was removed"},
	}
	h, s := testHost(t), aSite(t)
	for _, tt := range tests {
		args := strings.Fields(tt.args)
		if tt.args == "--set x" {
			args = append(args, "--registry", s.at, "--ca", s.ca, "--print-values")
		}
		r := try(t, h, "", args...)
		if cli.Code(r.err) != cli.CodeMisuse || !strings.Contains(r.err.Error(), tt.want) {
			t.Errorf("%s: %v with code %d, want misuse: %s", tt.args, r.err, cli.Code(r.err), tt.want)
		}
		if r.stdout != "" {
			t.Errorf("%s: wrote %s", tt.args, r.stdout)
		}
	}
}

func TestPrintValues(t *testing.T) {
	h, s := testHost(t), aSite(t)
	values := t.TempDir() + "/values.yaml"
	write(t, values, "controller: {replicas: 3, globalRegistry: other.example.org}\n")
	write(t, h.config, "k0rdent: {helm: {values: {controller: {replicas: 2, logLevel: info}}}}\n")
	r := try(t, h, "", "--registry", s.at, "--ca", s.ca, "--print-values", "--values", values, "--set", "controller.globalRegistry=third.example.org")
	if r.err != nil {
		t.Fatalf("%v\n%s", r.err, r.stderr)
	}
	for _, want := range []string{
		"# k0rdent-enterprise 1.2.3 from " + s.at + "\n", "  replicas: 3\n", "  logLevel: info\n",
		"  globalRegistry: third.example.org\n", "  templatesRepoURL: oci://" + s.at + "/charts\n",
	} {
		if !strings.Contains(r.stdout, want) {
			t.Errorf("no %q in\n%s", want, r.stdout)
		}
	}
}

// TestMovedFlags: a command line of the time when one tool did both is told the
// new one.
func TestMovedFlags(t *testing.T) {
	for args, want := range map[string]string{
		"--join worker --token-file /root/t": "k0s-up --join worker; then",
		"--token=controller":                 "k0s-up --token controller; then",
		"--k0s-from /k0s --upgrade":          "k0s-up --k0s-from /k0s; then",
		"-pod-cidr 10.1.0.0/16":              "k0s-up --pod-cidr 10.1.0.0/16; then",
		"--single-host-test":                 "--ignore loopback",
	} {
		r := try(t, testHost(t), "", strings.Fields(args)...)
		if cli.Code(r.err) != cli.CodeMisuse || !strings.Contains(cli.HintOf(r.err), want) {
			t.Errorf("%s: %v, hint %q, want %q", args, r.err, cli.HintOf(r.err), want)
		}
	}
	if err := moved([]string{"--ignore", "cpu", "--set", "a=b"}); err != nil {
		t.Error(err)
	}
}

func TestSharedFile(t *testing.T) {
	clitest.Shared(t, (&settings{}).flags(), config.PlatformFlags, "../../man/k0s-up.1")
}
