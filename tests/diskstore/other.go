//go:build !linux

// Package diskstore runs a real registry over a store on disk, for tests.
package diskstore

import (
	"net/http"
	"testing"
)

// Handler skips the test: the store requires Linux.
func Handler(t testing.TB) http.Handler {
	t.Skip("lib/registry requires Linux")
	return nil
}
