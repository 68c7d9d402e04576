package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k0rdent-airgap/lib/record"
	"k0rdent-airgap/tests/machine"
)

// theirs makes a file that belongs to neither root nor the user of the test.
func theirs(t *testing.T, path, content string) {
	t.Helper()
	machine.NeedRoot(t, "give files away")
	if err := errors.Join(os.WriteFile(path, []byte(content), 0o755), os.Chown(path, 12345, 12345)); err != nil {
		t.Fatal(err)
	}
}

// A file that another user owns can change at any time: it is neither run nor
// left in place.
func TestProgramOfAnotherUser(t *testing.T) {
	dir := t.TempDir()
	from, to, ran := filepath.Join(dir, "from"), filepath.Join(dir, "k0s"), filepath.Join(dir, "ran")
	if err := os.WriteFile(from, k0sFor(v132), 0o755); err != nil {
		t.Fatal(err)
	}
	theirs(t, to, "#!/bin/sh\ntouch "+ran+"\necho v1.0.0+k0s.0\n")
	args := []string{"--from", from, "--k0s-version", v132, "--to", to}
	if _, _, err := run1(t, nil, args...); err == nil || !strings.Contains(err.Error(), "owned by another user") {
		t.Errorf("different program: %v, want an error", err)
	}
	if _, err := os.Stat(ran); err == nil {
		t.Error("the program was run")
	}
	theirs(t, to, string(k0sFor(v132)))
	for _, want := range []string{record.StatusWritten, record.StatusUnchanged} {
		out, _, err := run1(t, nil, args...)
		if err != nil || records(t, out)[0].Status != want {
			t.Fatalf("the same program: %s, %v, want %s", out, err, want)
		}
		if info, err := os.Stat(to); err != nil || foreign(info) {
			t.Errorf("%v, %v, want root as the owner", info, err)
		}
	}
}

// The registry's storage belongs to its service. A link that the service put in
// the directory of child clusters' k0s is not followed.
func TestLinkInTheStorage(t *testing.T) {
	dir := t.TempDir()
	storage, from := filepath.Join(dir, "registry"), filepath.Join(dir, "from")
	theirs(t, from, string(k0sFor(v132)))
	victim := filepath.Join(dir, "victim")
	if err := errors.Join(os.Mkdir(storage, 0o755), os.Mkdir(victim, 0o755), os.Symlink(victim, storage+"/k0s"), os.Chown(storage, 12345, 12345)); err != nil {
		t.Fatal(err)
	}
	args := []string{"--from", from, "--k0s-version", v132, "--name", "--to", storage + "/k0s"}
	if _, _, err := run1(t, nil, args...); err == nil || !strings.Contains(err.Error(), "another user could have made") {
		t.Errorf("%v, want an error about the link", err)
	}
	if left, err := os.ReadDir(victim); err != nil || len(left) > 0 {
		t.Errorf("%v, %v was written through the link", left, err)
	}
}
