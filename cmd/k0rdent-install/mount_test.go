package main

import (
	"testing"

	"k0rdent-airgap/tests/machine"
)

// smallDisk returns a file system of a size, or skips where none may be
// mounted.
func smallDisk(t *testing.T, size string) string {
	t.Helper()
	return machine.Tmpfs(t, t.TempDir(), "size="+size)
}
