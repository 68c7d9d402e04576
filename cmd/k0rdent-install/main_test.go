package main

import (
	"strings"
	"testing"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/cli/clitest"
)

func TestDocs(t *testing.T) {
	clitest.Docs(t, (&config{}).flags(), usage, "../..")
}

func TestMisuse(t *testing.T) {
	tests := []struct{ args, want string }{
		{"--join worker --uninstall", "--uninstall and --join are mutually exclusive"},
		{"--join boss", `--join "boss": must be worker or controller`},
		{"--registry https://10.0.0.5", "--registry"},
		{"--ca x --plain-http --registry h", "mutually exclusive"},
		{"--username u", "--username and --password-file belong together"},
		{"--purge", "--purge requires --uninstall"},
		{"--k0s-from x", "--k0s-from: wants --upgrade"},
		{"--release-file x", "--release-file: wants --upgrade"},
		{"--print-values --plan", "it needs no --plan"},
		{"--ignore luck", `--ignore "luck": must be one of cpu disk`},
		{"--k0s-version latest", "is not a k0s version"},
		{"--api-address 0.0.0.0", "--api-address"},
		{"--pod-cidr 10.1.2.3/16", "--pod-cidr"},
		{"--api-port 70000", "--api-port 70000"},
		{"--expiry 100ms", "--expiry 100ms"},
		{"--timeout 0s", "--timeout 0s"},
		{"--values /no/such/file", "--values: "},
		{"--set x", "--set x"},
		{"x", `unexpected argument "x"`},
		{"--no-such-flag", "unknown flag --no-such-flag"},
	}
	h, s := testHost(t), aSite(t)
	mirrored(t, h, s)
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
	values := h.root + "/values.yaml"
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
