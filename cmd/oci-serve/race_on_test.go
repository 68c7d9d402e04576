//go:build race

package main

// raceDetector reports whether this test program has it.
const raceDetector = true
