package registry

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A storage of a later version is refused, and nothing in it changes.
func TestFormat(t *testing.T) {
	for _, c := range []struct {
		name, format string // "" is no file
		repositories bool
		want         string // "" if it is opened
	}{
		{"the next format", "3\n", true, `its format is "3", this version supports "2"`},
		{"the next format, without content", "3\n", false, `its format is "3", this version supports "2"`},
		{"a crash before the format was written", "", false, ""},
		{"this format", format, true, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			reg := newRegistry(t)
			if c.repositories {
				reg.pushImage("a", "v1", "x")
			}
			reg.stop()
			file := reg.path(formatFile)
			err := os.Remove(file)
			if err == nil && c.format != "" {
				err = os.WriteFile(file, []byte(c.format), 0o644)
			}
			if err != nil {
				t.Fatal(err)
			}
			before := paths(t, reg.dir)
			disk, err := OpenDisk(reg.dir)
			if err == nil {
				err = disk.Close()
			}
			if c.want == "" {
				if text, wrote := os.ReadFile(file); err != nil || string(text) != format {
					t.Errorf("OpenDisk = %v, then the format is %q, %v", err, text, wrote)
				}
				return
			}
			if err == nil || !strings.HasSuffix(err.Error(), c.want) || !strings.Contains(err.Error(), reg.dir) {
				t.Errorf("OpenDisk = %v, want %q of %s", err, c.want, reg.dir)
			}
			if after := paths(t, reg.dir); after != before {
				t.Errorf("the storage has changed from %s to %s", before, after)
			}
		})
	}
}

// paths returns what a storage holds, but for its lock.
func paths(t *testing.T, dir string) string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(dir, func(file string, e os.DirEntry, err error) error {
		if err != nil || e.Name() == lockFile {
			return err
		}
		info, err := e.Info()
		all = append(all, file+" "+info.ModTime().String())
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(all, "\n")
}
