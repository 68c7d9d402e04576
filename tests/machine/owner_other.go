//go:build !unix

package machine

import "io/fs"

func owner(fs.FileInfo) string { return "" }
