// Package machine is what tests know of the machine that they run on: what it
// offers them, and that they leave it as it was.
package machine

import (
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// place is a directory whose files belong to the machine.
type place struct {
	path  string
	depth int  // levels below it that are listed
	names bool // other programs write to the files in it, so only their names count
}

// places returns what List reads. home is the user's home directory.
func places(home string) []place {
	found := []place{
		{"/etc", 8, false}, {"/opt", 8, false}, {"/usr/local", 8, false}, {"/usr/lib/systemd", 8, false},
		{"/var/lib/k0s", 1, true}, {"/var/lib/k0rdentd", 1, true},
		{"/run/k0s", 1, true}, {"/run/k0rdent-install.lock", 0, false},
		{home, 1, true},
	}
	// Where logins, kubeconfigs and Helm's caches lie.
	for _, dir := range []string{".docker", ".kube", ".config/containers", ".config/helm", ".cache/helm", ".local/share/helm"} {
		found = append(found, place{filepath.Join(home, dir), 4, false})
	}
	return found
}

// ignored are directories of many files, to which no tool of ours writes.
var ignored = []string{"/usr/local/go", "/usr/local/lib/node_modules"}

// List returns the files of this machine where the tools, k0s and Helm keep theirs,
// of which tests change none. It has a line for each file of the machine, by path: type, permissions,
// owner, and of all but directories size, time of change and target.
func List() map[string]string {
	home, _ := os.UserHomeDir()
	found := make(map[string]string)
	for _, p := range places(home) {
		list(p, found)
	}
	return found
}

func list(p place, found map[string]string) {
	depth := strings.Count(p.path, "/") + p.depth
	// What this user cannot read, its tests cannot have changed.
	_ = filepath.WalkDir(p.path, func(path string, d fs.DirEntry, err error) error {
		if err != nil || slices.Contains(ignored, path) {
			return skip(d)
		}
		if info, err := d.Info(); err == nil {
			found[path] = line(info, path, p.names)
		}
		if strings.Count(path, "/") >= depth {
			return skip(d)
		}
		return nil
	})
}

// skip ends the walk of a directory, and only passes over a file.
func skip(d fs.DirEntry) error {
	if d != nil && d.IsDir() {
		return fs.SkipDir
	}
	return nil
}

func line(info fs.FileInfo, path string, name bool) string {
	if name {
		return "there"
	}
	text := info.Mode().String() + owner(info)
	if info.IsDir() {
		return text
	}
	target, _ := os.Readlink(path) // "" for anything but a link
	return fmt.Sprintf("%s %d %d %s", text, info.Size(), info.ModTime().UnixNano(), target)
}

// Changes returns what differs between two lists, a line for each file, sorted.
func Changes(before, after map[string]string) []string {
	var found []string
	for path, was := range before {
		switch is, there := after[path]; {
		case !there:
			found = append(found, path+" was removed")
		case is != was:
			found = append(found, path+" was changed")
		}
	}
	for path := range after {
		if _, there := before[path]; !there {
			found = append(found, path+" was added")
		}
	}
	slices.Sort(found)
	return found
}

// parallel is how many parallel tests run at once on a machine with fewer cores, unless
// -parallel says otherwise: most of them wait for a server or for time to pass.
const parallel = 10

// Run runs the tests of a package, as its TestMain does, and returns their exit
// status: 1 as well if they changed a file of the machine.
func Run(m *testing.M) int {
	flag.Parse()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "test.parallel" })
	if !given && runtime.GOMAXPROCS(0) < parallel {
		_ = flag.Set("test.parallel", strconv.Itoa(parallel))
	}
	before := List()
	code := m.Run()
	for _, change := range Changes(before, List()) {
		fmt.Fprintln(os.Stderr, "FAIL: a file of this machine changed while these tests ran:", change)
		code = max(code, 1)
	}
	return code
}
