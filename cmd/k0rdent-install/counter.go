package main

import "sync/atomic"

// counter counts the bytes that pass, for a bar that looks at it.
type counter struct{ n atomic.Int64 }

func (c *counter) Write(p []byte) (int, error) {
	c.n.Add(int64(len(p)))
	return len(p), nil
}

func (c *counter) at() int64 { return c.n.Load() }
