package machine

import (
	"os"
	"path/filepath"
	"strings"
)

// Running returns the programs below a directory that are running, by process number.
func Running(dir string) map[string]string {
	found := make(map[string]string)
	links, _ := filepath.Glob("/proc/[0-9]*/exe") // the pattern is valid
	for _, link := range links {
		program, err := os.Readlink(link)
		if err != nil || !strings.HasPrefix(program, dir+"/") {
			continue // it has exited, or is another user's
		}
		found[filepath.Base(filepath.Dir(link))] = program
	}
	return found
}
