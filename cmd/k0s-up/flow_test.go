package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/record"
	"k0rdent-airgap/tests/clitest"
)

// errKilled ends a run between two steps.
var errKilled = errors.New("killed")

// killed runs the tool and ends the run after a step.
func killed(t *testing.T, h host, step, stdin string, args ...string) clitest.Result {
	t.Helper()
	return tryOn(t.Context(), h, stdin, func(name string) error {
		if name == step {
			return errKilled
		}
		return nil
	}, args...)
}

// local lists the steps that need no API server. tests/cluster runs the others
// against a real one.
var local = []string{"preflight", "notes", "k0s.yaml", "k0s-install", "k0s-start"}

// untilReady returns the flags of a run that does not wait for a cluster.
func untilReady(s testSite) []string { return s.args("--timeout", "1ms") }

func TestInstallUntilTheCluster(t *testing.T) {
	h, s := testHost(t), aSite(t)
	mirrored(t, h, s)
	r := try(t, h, "", untilReady(s)...)
	want := "preflight unchanged, notes unchanged, k0s.yaml done, k0s-install done, k0s-start done, k0s-ready failed"
	if got := r.Steps(); got != want || cli.Code(r.Err) != cli.CodeFailed {
		t.Fatalf("steps %s, want %s; %v\n%s", got, want, r.Err, r.Stderr)
	}
	if got := r.Step("k0s-ready").Error; !strings.Contains(got, "k0s has not created "+h.data+"/pki/admin.conf") {
		t.Errorf("k0s-ready: %q", got)
	}
	if info, err := os.Stat(h.k0sConfig); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v, want a k0s.yaml for its owner only", info, err)
	}
	calls := []string{"install controller --enable-worker --no-taints", "start"}
	if got := k0sCalls(t, h); !slices.Equal(got, calls) {
		t.Errorf("k0s was run with %q, want %q", got, calls)
	}
	before := tree(t, h.root)
	r = try(t, h, "", untilReady(s)...)
	if got := r.Steps(); !strings.HasPrefix(got, "preflight unchanged, notes unchanged, k0s.yaml unchanged, k0s-install unchanged, k0s-start unchanged, k0s-ready failed") {
		t.Errorf("again: steps %s\n%s", got, r.Stderr)
	}
	if after := tree(t, h.root); after != before {
		t.Errorf("the second run changed the host:\n%s\nwas\n%s", after, before)
	}
	if got := k0sCalls(t, h); !slices.Equal(got, calls) {
		t.Errorf("k0s was run with %q, want nothing new", got[len(calls):])
	}
}

// TestKilledBetweenSteps kills a run after each step. The next run completes it.
func TestKilledBetweenSteps(t *testing.T) {
	s := aSite(t)
	for _, step := range local {
		t.Run(step, func(t *testing.T) {
			h := testHost(t)
			mirrored(t, h, s)
			clitest.Write(t, h.k0sConfig, operatorsYAML)
			if r := killed(t, h, step, "", untilReady(s)...); !errors.Is(r.Err, errKilled) {
				t.Fatalf("%v, want it killed\n%s", r.Err, r.Stderr)
			}
			if r := try(t, h, "", untilReady(s)...); r.Step("k0s-ready").Status != record.StatusFailed {
				t.Errorf("the next run: %s\n%s", r.Steps(), r.Stderr)
			}
			if got, want := k0sCalls(t, h), []string{"install controller --enable-worker --no-taints", "start"}; !slices.Equal(got, want) {
				t.Errorf("k0s was run with %q, want %q", got, want)
			}
			if got := read(t, backupName(h.k0sConfig)); got != operatorsYAML {
				t.Errorf("the backup is\n%s\nwant the original\n%s", got, operatorsYAML)
			}
			if _, err := os.Stat(backupName(h.k0sConfig) + ".1"); err == nil {
				t.Error("a second backup exists")
			}
		})
	}
}

const operatorsYAML = "# by hand\nspec:\n  network:\n    provider: calico\n"

// TestResetOfHalfAnInstallation undoes a run that was killed after each step. The
// host is left as it was before.
func TestResetOfHalfAnInstallation(t *testing.T) {
	s := aSite(t)
	for _, step := range local {
		t.Run(step, func(t *testing.T) {
			h := testHost(t)
			mirrored(t, h, s)
			clitest.Write(t, h.k0sConfig, operatorsYAML)
			if err := os.Chmod(h.k0sConfig, 0o640); err != nil {
				t.Fatal(err)
			}
			before := tree(t, h.root)
			if r := killed(t, h, step, "", untilReady(s)...); !errors.Is(r.Err, errKilled) {
				t.Fatalf("%v, want it killed\n%s", r.Err, r.Stderr)
			}
			planned := tree(t, h.root)
			if r := try(t, h, "", "--reset", "--plan"); r.Err != nil || tree(t, h.root) != planned {
				t.Errorf("the plan: %v; it changed the host: %v", r.Err, tree(t, h.root) != planned)
			}
			r := try(t, h, "", "--reset", "--yes")
			if r.Err != nil {
				t.Fatalf("%v\n%s", r.Err, r.Stderr)
			}
			os.Remove(h.lock)
			for _, dir := range []string{h.runDir, filepath.Dir(h.data), filepath.Join(h.root, "var")} {
				os.Remove(dir) // the stand-in does not remove all directories that it creates
			}
			if after := tree(t, h.root); after != before {
				t.Errorf("left:\n%s\nwant:\n%s", after, before)
			}
			if r := try(t, h, "", "--reset", "--yes"); r.Err != nil || strings.Contains(r.Steps(), "done") {
				t.Errorf("again: %v, %s, want nothing to do", r.Err, r.Steps())
			}
		})
	}
}

func TestResetAsks(t *testing.T) {
	h := testHost(t)
	before := tree(t, h.root)
	r := try(t, h, "", "--reset")
	if cli.Code(r.Err) != cli.CodeMisuse || !strings.Contains(r.Err.Error(), "cannot ask for confirmation: stdin is not a terminal") {
		t.Errorf("%v, want it to ask", r.Err)
	}
	os.Remove(h.lock)
	if tree(t, h.root) != before {
		t.Error("the host was changed")
	}
}

func TestResetKeepsChangedFiles(t *testing.T) {
	h, s := testHost(t), aSite(t)
	mirrored(t, h, s)
	if r := try(t, h, "", untilReady(s)...); r.Step("k0s-start").Status != record.StatusDone {
		t.Fatal(r.Stderr)
	}
	clitest.Write(t, h.k0sConfig, read(t, h.k0sConfig)+"# mine\n")
	r := try(t, h, "", "--reset", "--yes")
	if r.Err != nil || !strings.Contains(r.Stderr, h.k0sConfig+": it has changed since") {
		t.Errorf("%v, want a warning that it stays\n%s", r.Err, r.Stderr)
	}
	if !strings.HasSuffix(read(t, h.k0sConfig), "# mine\n") {
		t.Error("the operator's file is gone")
	}
}

func TestResetRemovesFilesOfOtherTools(t *testing.T) {
	h, s := testHost(t), aSite(t)
	mirrored(t, h, s)
	dropIn := h.root + "/etc/k0s/containerd.d/cri-registry.toml"
	stdin := fmt.Sprintf(`{"kind":"file","path":%q,"status":"written","digest":%q}
{"kind":"file","path":%q,"status":"unchanged","digest":%q}
`, dropIn, digestOf([]byte(read(t, dropIn))), h.certs+"/_default/hosts.toml", digestOf([]byte(read(t, h.certs+"/_default/hosts.toml"))))
	r := killed(t, h, "notes", stdin, untilReady(s)...)
	if !errors.Is(r.Err, errKilled) || r.Step("notes").Status != record.StatusDone {
		t.Fatalf("%v, %+v, want the files listed\n%s", r.Err, r.Step("notes"), r.Stderr)
	}
	if !strings.HasPrefix(r.Stdout, stdin) {
		t.Errorf("records were not passed on:\n%s", r.Stdout)
	}
	if r := try(t, h, "", "--reset", "--yes"); r.Err != nil {
		t.Fatalf("%v\n%s", r.Err, r.Stderr)
	}
	if _, err := os.Stat(filepath.Dir(dropIn)); err == nil {
		t.Error("an empty directory is left")
	}
	for _, path := range []string{dropIn, h.certs + "/_default/hosts.toml", h.certs + "/_default/ca.crt"} {
		_, err := os.Stat(path)
		if recorded := !strings.HasSuffix(path, "ca.crt"); recorded == (err == nil) {
			t.Errorf("%s: %v, want only the files in a tool's records removed", path, err)
		}
	}
}

func TestConcurrentRuns(t *testing.T) {
	h, s := testHost(t), aSite(t)
	mirrored(t, h, s)
	var second clitest.Result
	first := tryOn(t.Context(), h, "", func(step string) error {
		if step != "k0s.yaml" {
			return nil
		}
		second = try(t, h, "", untilReady(s)...)
		return errKilled
	}, untilReady(s)...)
	if !errors.Is(first.Err, errKilled) {
		t.Fatalf("%v\n%s", first.Err, first.Stderr)
	}
	want := fmt.Sprintf("another run is in progress on this host (process %d)", os.Getpid())
	if cli.Code(second.Err) != cli.CodeTryAgain || second.Err.Error() != want || second.Steps() != "" {
		t.Errorf("the second: %v with code %d and steps %q, want %q", second.Err, cli.Code(second.Err), second.Steps(), want)
	}
	if r := try(t, h, "", s.args("--plan")...); r.Err != nil {
		t.Errorf("a plan: %v, want it to run without the lock", r.Err)
	}
	if r := try(t, h, "", untilReady(s)...); r.Step("k0s-start").Status != record.StatusDone {
		t.Errorf("after the first: %s", r.Steps())
	}
}

// TestChangedConfigurationRestartsK0s, even if a run is killed between writing the
// file and the restart.
func TestChangedConfigurationRestartsK0s(t *testing.T) {
	h, s := testHost(t), aSite(t)
	mirrored(t, h, s)
	if r := try(t, h, "", untilReady(s)...); r.Step("k0s-start").Status != record.StatusDone {
		t.Fatal(r.Stderr)
	}
	args := append(untilReady(s), "--san", "mgmt.example.org")
	if r := killed(t, h, "k0s.yaml", "", args...); !errors.Is(r.Err, errKilled) {
		t.Fatal(r.Err)
	}
	r := try(t, h, "", args...)
	if got := r.Step("k0s.yaml").Status + " " + r.Step("k0s-start").Status; got != "unchanged done" {
		t.Errorf("after the kill: %s\n%s", got, r.Stderr)
	}
	if r := try(t, h, "", args...); r.Step("k0s-start").Status != record.StatusUnchanged {
		t.Errorf("a third time: %+v, want nothing done", r.Step("k0s-start"))
	}
	if _, err := os.Stat(backupName(h.k0sConfig)); err == nil {
		t.Error("the tool's own file has a backup")
	}
	clitest.Write(t, h.k0sConfig, read(t, h.k0sConfig)+"# mine\n")
	if r := try(t, h, "", append(args, "--san", "another.example.org")...); r.Step("k0s.yaml").Status != record.StatusDone {
		t.Errorf("with an edit: %+v", r.Step("k0s.yaml"))
	}
	if got := read(t, backupName(h.k0sConfig)); !strings.HasSuffix(got, "# mine\n") || !strings.HasSuffix(read(t, h.k0sConfig), "# mine\n") {
		t.Errorf("the operator's edit is not kept: %s", got)
	}
	want := []string{"install controller --enable-worker --no-taints", "start", "stop", "start", "stop", "start"}
	if got := k0sCalls(t, h); !slices.Equal(got, want) {
		t.Errorf("k0s was run with %q, want %q", got, want)
	}
}

// TestKilledBetweenBackupAndFile has a backup of a file that was not replaced.
func TestKilledBetweenBackupAndFile(t *testing.T) {
	h, s := testHost(t), aSite(t)
	mirrored(t, h, s)
	clitest.Write(t, h.k0sConfig, operatorsYAML)
	clitest.Write(t, backupName(h.k0sConfig), operatorsYAML)
	if r := killed(t, h, "k0s.yaml", "", untilReady(s)...); !errors.Is(r.Err, errKilled) {
		t.Fatal(r.Err)
	}
	if _, err := os.Stat(backupName(h.k0sConfig) + ".1"); err == nil {
		t.Error("a second backup exists")
	}
	if r := try(t, h, "", "--reset", "--yes"); r.Err != nil || read(t, h.k0sConfig) != operatorsYAML {
		t.Errorf("%v, want the operator's file back", r.Err)
	}
}

func TestFailingK0s(t *testing.T) {
	s := aSite(t)
	for _, tt := range []struct{ command, step string }{{"install", "k0s-install"}, {"start", "k0s-start"}} {
		h := testHost(t)
		mirrored(t, h, s)
		t.Setenv("K0S_FAIL", tt.command)
		r := try(t, h, "", untilReady(s)...)
		if got := r.Step(tt.step); got.Status != record.StatusFailed || !strings.HasSuffix(got.Error, tt.command+" fails, as it was told to") {
			t.Errorf("%+v, want it failed with k0s's own error", got)
		}
		if !strings.Contains(r.Err.Error(), tt.step+": k0s "+tt.command) {
			t.Errorf("error %v, want the step and the command in it", r.Err)
		}
	}
}
