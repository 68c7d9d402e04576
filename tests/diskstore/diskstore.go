//go:build linux

// Package diskstore runs a real registry over a store on disk, for tests.
package diskstore

import (
	"net/http"
	"testing"

	"k0rdent-airgap/lib/registry"
)

// Handler returns a registry whose store is a directory of the test.
func Handler(t testing.TB) http.Handler {
	t.Helper()
	store, err := registry.OpenDisk(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	return registry.New(store, registry.Options{})
}
