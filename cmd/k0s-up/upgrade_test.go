package main

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"k0rdent-airgap/lib/k0s"
	"k0rdent-airgap/lib/record"
	"k0rdent-airgap/tests/clitest"
	standin "k0rdent-airgap/tests/k0s"
)

// newK0s writes a stand-in for k0s of another version to the host.
func newK0s(t *testing.T, h host, version string) string {
	t.Helper()
	path := h.root + "/root/k0s-new"
	clitest.Write(t, path, string(standin.Program(h.arch, version)))
	if err := os.Chmod(path, 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestUpgradeOfK0s stops, replaces and starts the k0s of a worker once, even if the
// run is killed after a step.
func TestUpgradeOfK0s(t *testing.T) {
	s := aSite(t)
	for _, step := range []string{"", "preflight", "k0s-upgrade", "k0s-start"} {
		t.Run("killed after "+step, func(t *testing.T) {
			h := testHost(t)
			mirrored(t, h, s)
			clitest.Write(t, h.k0s, string(standin.Program(h.arch, "v1.32.8+k0s.0")))
			if err := os.Chmod(h.k0s, 0o755); err != nil {
				t.Fatal(err)
			}
			server := apiWithNode(t)
			clitest.Write(t, h.root+"/root/token", standin.Token(workerUser, server))
			if r := try(t, h, "", s.args("--join", k0s.RoleWorker, "--token-file", h.root+"/root/token")...); r.Err != nil {
				t.Fatalf("%v\n%s", r.Err, r.Stderr)
			}
			from := newK0s(t, h, "v1.32.9+k0s.0")
			args := s.args("--upgrade", "--k0s-from", from)
			r := try(t, h, "", append(args, "--plan")...)
			if r.Err != nil || r.Step("k0s-upgrade").Status != record.StatusPlanned {
				t.Fatalf("the plan: %v, %s\n%s", r.Err, r.Steps(), r.Stderr)
			}
			if step != "" {
				if r := killed(t, h, step, "", args...); !errors.Is(r.Err, errKilled) {
					t.Fatalf("%v, want it killed\n%s", r.Err, r.Stderr)
				}
			}
			if r := try(t, h, "", args...); r.Err != nil {
				t.Fatalf("%v\n%s", r.Err, r.Stderr)
			}
			if read(t, h.k0s) != read(t, from) {
				t.Error("the new k0s is not in place")
			}
			if got := read(t, h.runDir+"/status.sock"); got != "worker v1.32.9+k0s.0\n" {
				t.Errorf("%q runs", got)
			}
			if got, want := k0sCalls(t, h)[2:], []string{"stop", "start"}; !slices.Equal(got, want) {
				t.Errorf("k0s was run with %q, want %q", got, want)
			}
			if r := try(t, h, "", args...); r.Err != nil || strings.Contains(r.Steps(), "done") {
				t.Errorf("again: %v, %s, want nothing to do", r.Err, r.Steps())
			}
			older := newK0s(t, h, "v1.31.9+k0s.0")
			r = try(t, h, "", s.args("--upgrade", "--k0s-from", older)...)
			if got := r.Step("preflight").Error; !strings.Contains(got, "Kubernetes cannot be downgraded to v1.31.9+k0s.0") {
				t.Errorf("preflight %q, want a downgrade refused", got)
			}
		})
	}
}
