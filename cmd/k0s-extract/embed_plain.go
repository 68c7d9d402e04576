//go:build !airgap

package main

// self is empty: only a build with the tag airgap carries a k0s.
func self() embedded { return embedded{} }
