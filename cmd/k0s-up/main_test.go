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

// TestSharedFile: k0rdent-install leaves alone what is a flag of this tool.
func TestSharedFile(t *testing.T) {
	clitest.Shared(t, (&settings{}).flags(), config.HostFlags, "../../man/k0rdent-install.1")
}

func TestMisuse(t *testing.T) {
	h := testHost(t)
	for _, tt := range []struct{ args, want string }{
		{"--join worker --reset", "--reset and --join are mutually exclusive"},
		{"--join boss", `--join "boss": must be worker or controller`},
		{"--registry https://10.0.0.5", "--registry"},
		{"--ca x --plain-http --registry h", "mutually exclusive"},
		{"--username u", "--username and --password-file must be given together"},
		{"--last-controller", "--last-controller requires --reset"},
		{"--k0s-from x", "--k0s-from requires --upgrade"},
		{"--ignore luck", `--ignore "luck": must be one of cpu disk`},
		{"--k0s-version latest", "is not a k0s version"},
		{"--api-address 0.0.0.0", "--api-address"},
		{"--pod-cidr 10.1.2.3/16", "--pod-cidr"},
		{"--api-port 70000", "--api-port 70000"},
		{"--expiry 100ms", "--expiry 100ms"},
		{"--timeout 0s", "--timeout 0s"},
		{"--values x", "unknown flag --values"},
		{"x", `unexpected argument "x"`},
	} {
		r := try(t, h, "", strings.Fields(tt.args)...)
		if cli.Code(r.Err) != cli.CodeMisuse || !strings.Contains(r.Err.Error(), tt.want) {
			t.Errorf("%s: %v with code %d, want misuse: %s", tt.args, r.Err, cli.Code(r.Err), tt.want)
		}
		if r.Stdout != "" {
			t.Errorf("%s: wrote %s", tt.args, r.Stdout)
		}
	}
}
