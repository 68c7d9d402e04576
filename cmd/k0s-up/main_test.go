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

// TestSharedFile checks that k0rdent-install ignores the flags of this tool.
func TestSharedFile(t *testing.T) {
	clitest.Shared(t, (&settings{}).flags(), config.HostFlags, "../../man/k0rdent-install.1")
}

func TestMisuse(t *testing.T) {
	h := testHost(t)
	for _, tt := range []struct{ args, want string }{
		{"--join worker --reset", "--reset and --join are mutually exclusive"},
		{"--join boss", `invalid --join "boss": must be worker or controller`},
		{"--registry https://10.0.0.5", `invalid --registry "https://10.0.0.5"`},
		{"--ca x --plain-http --registry h", "mutually exclusive"},
		{"--username u", "--username requires --password-file"},
		{"--last-controller", "--last-controller requires --reset"},
		{"--k0s-from x", "--k0s-from requires --upgrade"},
		{"--ignore luck", `--ignore "luck": must be one of apparmor cpu disk`},
		{"--join workre", `invalid --join "workre": must be worker or controller (did you mean worker?)`},
		{"--k0s-version latest", `invalid --k0s-version "latest": must be a version such as v1.32.8+k0s.0`},
		{"--api-address 0.0.0.0", `invalid --api-address "0.0.0.0": must be the address of an interface`},
		{"--pod-cidr 10.1.2.3/16", `invalid --pod-cidr "10.1.2.3/16": must be a network`},
		{"--api-port 70000", `invalid --api-port "70000": must be a number from 1 to 65535`},
		{"--expiry 1100ms", `invalid --expiry "1.1s": must be whole seconds`},
		{"--timeout 0s", `invalid --timeout "0s": must be a duration such as 30s or 5m`},
		{"--values x", "unknown flag --values"},
		{"x", `unexpected argument "x"`},
		{"reset", `unexpected argument "reset" (did you mean --reset?)`},
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
