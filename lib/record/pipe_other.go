//go:build !linux

package record

import (
	"io"
	"os"
)

// Only Linux has locks on pipes. Elsewhere no pipe is marked.

func announce(*os.File) {}

// Announced returns false: it is not known who writes to a pipe.
func Announced(*os.File) bool { return false }

// AcceptRest does nothing.
func AcceptRest(io.Reader) {}

// RestAccepted returns false, and bundle-ls lists everything.
func (w *Writer) RestAccepted() bool { return false }
