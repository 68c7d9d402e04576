package machine

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// TestChanges checks that every kind of change to a machine is detected, and nothing else.
func TestChanges(t *testing.T) {
	write := func(path, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	tests := []struct {
		name   string
		place  place // below the test's directory
		change func(dir string) error
		want   []string // without the test's directory
	}{
		{"nothing", place{depth: 2}, func(string) error { return nil }, nil},
		{"reading", place{depth: 2}, func(dir string) error { _, err := os.ReadFile(dir + "/bin/k0s"); return err }, nil},
		{"a new file", place{depth: 2}, func(dir string) error { return os.WriteFile(dir+"/bin/new", nil, 0o600) }, []string{"/bin/new was added"}},
		{"a new directory", place{depth: 2}, func(dir string) error { return os.Mkdir(dir+"/new", 0o700) }, []string{"/new was added"}},
		{"removed", place{depth: 2}, func(dir string) error { return os.Remove(dir + "/bin/k0s") }, []string{"/bin/k0s was removed"}},
		{"the same bytes again", place{depth: 2}, func(dir string) error {
			return os.Chtimes(dir+"/bin/k0s", time.Time{}, time.Unix(1, 0))
		}, []string{"/bin/k0s was changed"}},
		{"permissions", place{depth: 2}, func(dir string) error { return os.Chmod(dir+"/bin", 0o700) }, []string{"/bin was changed"}},
		{"a link elsewhere", place{depth: 2}, func(dir string) error {
			if err := os.Remove(dir + "/bin/link"); err != nil {
				return err
			}
			return os.Symlink("other", dir+"/bin/link")
		}, []string{"/bin/link was changed"}},
		{"deeper than the list goes", place{depth: 1}, func(dir string) error { return os.Remove(dir + "/bin/k0s") }, nil},
		{"the content of a file whose name counts", place{depth: 2, names: true}, func(dir string) error {
			return os.WriteFile(dir+"/bin/k0s", []byte("longer"), 0o600)
		}, nil},
		{"the name of such a file", place{depth: 2, names: true}, func(dir string) error { return os.Remove(dir + "/bin/k0s") }, []string{"/bin/k0s was removed"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			write(dir+"/bin/k0s", "k0s")
			if err := os.Symlink("k0s", dir+"/bin/link"); err != nil {
				t.Fatal(err)
			}
			test.place.path = dir
			before, after := make(map[string]string), make(map[string]string)
			list(test.place, before)
			if err := test.change(dir); err != nil {
				t.Fatal(err)
			}
			list(test.place, after)
			var want []string
			for _, w := range test.want {
				want = append(want, dir+w)
			}
			if got := Changes(before, after); !slices.Equal(got, want) {
				t.Errorf("Changes = %q, want %q", got, want)
			}
		})
	}
}

// TestList checks that the list covers what the tools write by default.
func TestList(t *testing.T) {
	found := List()
	for _, path := range []string{"/etc", "/etc/passwd", "/usr/local/bin"} {
		if found[path] == "" {
			t.Errorf("List has no %s", path)
		}
	}
	if again := Changes(found, List()); len(again) > 0 {
		t.Errorf("two lists differ: %q", again)
	}
}
