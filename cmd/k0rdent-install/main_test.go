package main

import (
	"strings"
	"testing"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/config"
	"k0rdent-airgap/tests/clitest"
)

func TestDocs(t *testing.T) {
	clitest.Docs(t, (&settings{}).flags(), usage, "../..")
}

func TestMisuse(t *testing.T) {
	tests := []struct{ args, want string }{
		{"--uninstall --upgrade", "--upgrade and --uninstall are mutually exclusive"},
		{"--registry https://10.0.0.5", "--registry"},
		{"--ca x --plain-http --registry h", "mutually exclusive"},
		{"--username u", "--username requires --password-file"},
		{"--release-file x", "--release-file requires --upgrade"},
		{"--print-values --plan", "--print-values and --plan are mutually exclusive"},
		{"--ignore luck", `--ignore "luck": must be one of apparmor cpu disk`},
		{"--timeout 0s", `invalid --timeout "0s": must be a duration`},
		{"--values /no/such/file", "--values: "},
		{"--set x", `invalid --set "x": must be PATH=VALUE`},
		{"x", `unexpected argument "x"`},
		{"--no-such-flag", "unknown flag --no-such-flag"},
		{"--join worker --token-file /t", "--join moved to k0s-up"},
		{"--purge", "--purge was removed"},
	}
	h, s := testHost(t), aSite(t)
	for _, tt := range tests {
		args := strings.Fields(tt.args)
		if tt.args == "--set x" {
			args = append(args, "--registry", s.At, "--ca", s.CA, "--print-values")
		}
		r := try(t, h, "", args...)
		if cli.Code(r.Err) != cli.CodeMisuse || !strings.Contains(r.Err.Error(), tt.want) {
			t.Errorf("%s: %v with code %d, want misuse: %s", tt.args, r.Err, cli.Code(r.Err), tt.want)
		}
		if r.Stdout != "" {
			t.Errorf("%s: wrote %s", tt.args, r.Stdout)
		}
	}
}

func TestPrintValues(t *testing.T) {
	h, s := testHost(t), aSite(t)
	values := t.TempDir() + "/values.yaml"
	clitest.Write(t, values, "controller: {replicas: 3, globalRegistry: other.example.org}\n")
	clitest.Write(t, h.config, "k0rdent: {helm: {values: {controller: {replicas: 2, logLevel: info}}}}\n")
	r := try(t, h, "", "--registry", s.At, "--ca", s.CA, "--print-values", "--values", values, "--set", "controller.globalRegistry=third.example.org")
	if r.Err != nil {
		t.Fatalf("%v\n%s", r.Err, r.Stderr)
	}
	for _, want := range []string{
		"# k0rdent-enterprise 1.2.3 from " + s.At + "\n", "  replicas: 3\n", "  logLevel: info\n",
		"  globalRegistry: third.example.org\n", "  templatesRepoURL: oci://" + s.At + "/charts\n",
	} {
		if !strings.Contains(r.Stdout, want) {
			t.Errorf("no %q in\n%s", want, r.Stdout)
		}
	}
}

// TestMovedFlags: flags from before k0s-up was split off name the current command,
// whether they are given on the command line, in the environment or in the file.
func TestMovedFlags(t *testing.T) {
	for _, tt := range []struct{ args, variable, file, want, hint string }{
		{args: "--join worker --token-file /root/t", want: "--join moved to k0s-up, which sets up the host", hint: "k0s-up --join worker; then"},
		{args: "--token=controller", want: "--token moved to k0s-up", hint: "k0s-up --token controller; then"},
		{args: "--k0s-from /k0s --upgrade", want: "--k0s-from moved to k0s-up", hint: "k0s-up --k0s-from /k0s; then"},
		{args: "-pod-cidr 10.1.0.0/16", want: "--pod-cidr moved", hint: "k0s-up --pod-cidr 10.1.0.0/16; then"},
		{args: "--reset", want: "--reset moved", hint: "k0s-up --reset; then"},
		{args: "--single-host-test", want: "--single-host-test was removed", hint: "--ignore loopback"},
		{variable: "JOIN=worker", want: "K0RDENT_INSTALL_JOIN moved to k0s-up", hint: "k0s-up --join worker; then"},
		{variable: "TOKEN_FILE=/root/t", want: "K0RDENT_INSTALL_TOKEN_FILE moved", hint: "k0s-up --token-file /root/t; then"},
		{variable: "LAST_CONTROLLER=true", want: "K0RDENT_INSTALL_LAST_CONTROLLER moved", hint: "k0s-up --last-controller; then"},
		{variable: "PURGE=true", want: "K0RDENT_INSTALL_PURGE was removed", hint: "oci-serve --purge"},
		{file: "replace-k0s: true\n", want: "replace-k0s was removed", hint: "k0s-extract --replace"},
		{file: "join: {mode: worker}\n", want: "join.mode is worker", hint: "run k0rdent-install on a controller"},
	} {
		t.Run(tt.want, func(t *testing.T) {
			h := testHost(t)
			if name, value, ok := strings.Cut(tt.variable, "="); ok {
				t.Setenv("K0RDENT_INSTALL_"+name, value)
			}
			clitest.Write(t, h.config, tt.file)
			r := try(t, h, "", strings.Fields(tt.args)...)
			if cli.Code(r.Err) != cli.CodeMisuse || !strings.Contains(r.Err.Error(), tt.want) || !strings.Contains(cli.HintOf(r.Err), tt.hint) {
				t.Errorf("%v, hint %q, want %q and %q", r.Err, cli.HintOf(r.Err), tt.want, tt.hint)
			}
		})
	}
	// Settings of the host are ignored, and the file of a worker may be used with
	// another cluster's kubeconfig.
	for _, text := range []string{"pod-cidr: 10.1.0.0/16\nreset: false\n", "join: {mode: controller}\n", "join: {mode: worker}\nkubeconfig: /k\n"} {
		if _, err := parse(t, text, 0o600); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
	if r := try(t, testHost(t), "", "--ignore", "cpu", "--set", "a=b"); strings.Contains(r.Err.Error(), "moved") {
		t.Error(r.Err)
	}
}

func TestSharedFile(t *testing.T) {
	clitest.Shared(t, (&settings{}).flags(), config.PlatformFlags, "../../man/k0s-up.1")
}
