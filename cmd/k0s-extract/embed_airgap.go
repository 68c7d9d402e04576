//go:build airgap

package main

import _ "embed"

// Both files are written by make build-airgap.
var (
	//go:embed embedded/k0s
	embeddedProgram string
	//go:embed embedded/k0s.json
	embeddedAbout []byte
)

// self returns the k0s embedded in this build.
func self() embedded { return embedded{embeddedProgram, embeddedAbout} }
