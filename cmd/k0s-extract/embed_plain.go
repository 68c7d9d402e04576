//go:build !airgap

package main

// self is empty: only builds with the tag airgap embed k0s.
func self() embedded { return embedded{} }
