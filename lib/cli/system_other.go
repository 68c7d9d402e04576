//go:build !windows

package cli

import "os"

// hasSequences returns true: every terminal interprets control sequences, unless
// TERM says otherwise.
func hasSequences(*os.File) bool { return true }

// readerGone returns false: SIGPIPE ends a program whose reader has exited.
func readerGone(error) bool { return false }
