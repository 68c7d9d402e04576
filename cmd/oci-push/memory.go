package main

import (
	"errors"

	"k0rdent-airgap/lib/cli"
)

const (
	chunkSize = 256 << 10 // of the pieces that hold blobs, in bytes
	minMemory = 32 << 20
	maxMemory = 1 << 40
	// overhead is the memory used for other things than blobs: read-ahead
	// of the bundle, manifests of waiting images.
	overhead = 16 << 20
)

// memory is the budget for blobs that wait for their upload. Only the goroutine
// that reads the bundle takes from it, so taking it piece by piece cannot
// deadlock; any goroutine may return pieces.
type memory struct {
	free chan []byte // pieces, made when first needed
	most int64       // the largest blob that is held whole before it is sent
	// window is how much of a large blob is kept after it was sent, so that
	// it can be sent again: half of the budget; the other half is
	// read-ahead.
	window int64
	// alone means that only one blob is sent at a time: while one is, no other
	// returns memory.
	alone bool
}

// newMemory returns a budget of bytes for as many uploads at a time as jobs.
func newMemory(budget int64, jobs int) *memory {
	pieces := (budget - overhead) / chunkSize
	m := &memory{free: make(chan []byte, pieces), most: pieces * chunkSize / 4, window: pieces * chunkSize / 2, alone: jobs == 1}
	for range pieces {
		m.free <- nil
	}
	return m
}

// parseMemory parses the budget.
func parseMemory(text string) (int64, error) {
	budget, err := cli.ParseSize(text)
	if err == nil && (budget < minMemory || budget > maxMemory) {
		err = errors.New("must be from 32MiB to 1TiB")
	}
	return budget, err
}
