package main

import (
	"io"
	"path/filepath"
	"strings"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/record"
)

// unknown writes, to a pipe, the record of a verification that came to no
// result, and returns why. Without it, the later programs in the pipeline could
// not tell it from no pipeline at all.
func unknown(stdout io.Writer, format *record.Format, operand string, why error) error {
	if !cli.IsPipe(stdout) || !format.JSON() || cli.Code(why) == cli.CodeDone {
		return why
	}
	path := operand
	if abs, err := filepath.Abs(operand); err == nil && operand != "" && operand != "-" {
		path = abs
	}
	b := record.Bundle{Path: path, Signature: record.SignatureUnknown, Error: strings.ReplaceAll(why.Error(), "\n", "; ")}
	// The reader may have exited, which does not affect the error.
	_ = record.NewWriter(stdout, format).Write(b)
	return why
}
