//go:build unix

package machine

import (
	"fmt"
	"io/fs"
	"syscall"
)

func owner(info fs.FileInfo) string {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return fmt.Sprintf(" %d:%d", s.Uid, s.Gid)
	}
	return ""
}
