package machine

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

func TestRunning(t *testing.T) {
	dir := t.TempDir()
	sleep, err := exec.LookPath("sleep")
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile(sleep)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "sleep"), program, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), filepath.Join(dir, "sleep"), "600")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if found := Running(dir); len(found) != 1 {
		t.Errorf("while it runs: %q, want one process", found)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // killed
	if found := Running(dir); len(found) != 0 {
		t.Errorf("after it: %q, want none", found)
	}
}
