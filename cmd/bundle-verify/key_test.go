//go:build unix

package main

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// "--key <(command)" names a pipe, which can be read only once.
func TestKeyFromAPipe(t *testing.T) {
	key, err := os.ReadFile(data + "p256.pub")
	if err != nil {
		t.Fatal(err)
	}
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	written := make(chan error, 1)
	go func() { written <- os.WriteFile(pipe, key, 0) }()
	keys, err := loadKeys(t.Context(), pipe)
	if err != nil || len(keys) != 1 {
		t.Errorf("%d keys and %v, want 1 and no error", len(keys), err)
	}
	if err := <-written; err != nil {
		t.Error(err)
	}
}
