package machine

import (
	"syscall"
	"testing"
)

// Tmpfs mounts a file system in memory on dir for the rest of a test and returns dir,
// or skips the test where none can be mounted. options are those of tmpfs(5), as in
// "size=1m".
func Tmpfs(t testing.TB, dir, options string) string {
	t.Helper()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, options); err != nil {
		Skip(t, "cannot mount a tmpfs, which only root can: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return dir
}
