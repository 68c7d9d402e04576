package k0s

import (
	"math/rand/v2"
	"slices"
	"testing"
)

func TestParseVersion(t *testing.T) {
	tests := []struct {
		in, want, tag, file string
		containerd          int
	}{
		{"v1.32.8+k0s.0", "v1.32.8+k0s.0", "v1.32.8-k0s.0", "k0s-v1.32.8+k0s.0-amd64", 1},
		{"v1.32.8-k0s.0", "v1.32.8+k0s.0", "v1.32.8-k0s.0", "k0s-v1.32.8+k0s.0-amd64", 1},
		{"1.35.7-k0s.1", "v1.35.7+k0s.1", "v1.35.7-k0s.1", "k0s-v1.35.7+k0s.1-amd64", 1},
		{"v1.36.1-rc.0+k0s.0", "v1.36.1-rc.0+k0s.0", "v1.36.1-rc.0-k0s.0", "k0s-v1.36.1-rc.0+k0s.0-amd64", 2},
		{"v1.36.1-rc.0-k0s.0", "v1.36.1-rc.0+k0s.0", "v1.36.1-rc.0-k0s.0", "k0s-v1.36.1-rc.0+k0s.0-amd64", 2},
		{"v1.36.3", "v1.36.3", "v1.36.3", "k0s-v1.36.3-amd64", 2},
		{"v1.37.0-alpha.1+k0s.0", "v1.37.0-alpha.1+k0s.0", "v1.37.0-alpha.1-k0s.0", "k0s-v1.37.0-alpha.1+k0s.0-amd64", 2},
		{"v2.0.0+k0s.0", "v2.0.0+k0s.0", "v2.0.0-k0s.0", "k0s-v2.0.0+k0s.0-amd64", 2},
	}
	for _, tt := range tests {
		v, err := ParseVersion(tt.in)
		if err != nil {
			t.Errorf("ParseVersion(%q): %v", tt.in, err)
			continue
		}
		if v.String() != tt.want || v.Tag() != tt.tag || v.FileName("amd64") != tt.file || v.Containerd() != tt.containerd {
			t.Errorf("ParseVersion(%q) = %s, tag %s, file %s, containerd %d, want %s, %s, %s, %d",
				tt.in, v, v.Tag(), v.FileName("amd64"), v.Containerd(), tt.want, tt.tag, tt.file, tt.containerd)
		}
	}
	for _, in := range []string{"", "latest", "v1.32", "v1.32.8+rke2r1", "v1.32.8 ", "vv1.32.8", "v1.32.8+k0s.", "v1.32.1234567", "v1.32.8/../x-k0s.0"} {
		if v, err := ParseVersion(in); err == nil {
			t.Errorf("ParseVersion(%q) = %s, want an error", in, v)
		}
	}
}

func TestVersionsInOrder(t *testing.T) {
	order := []string{
		"v1.9.9+k0s.0", "v1.27.1+k0s.0", "v1.32.8+k0s.0", "v1.32.8+k0s.1", "v1.32.8+k0s.10", "v1.32.10+k0s.0",
		"v1.35.1-alpha.1+k0s.0", "v1.35.1-rc.1+k0s.0", "v1.35.1-rc.1+k0s.1", "v1.35.1-rc.2+k0s.0", "v1.35.1-rc.10+k0s.0",
		"v1.35.1", "v1.35.1+k0s.0", "v1.36.0+k0s.0", "v2.0.0+k0s.0",
	}
	var versions []Version
	for _, s := range order {
		v, err := ParseVersion(s)
		if err != nil {
			t.Fatal(err)
		}
		versions = append(versions, v)
	}
	rand.Shuffle(len(versions), func(i, j int) { versions[i], versions[j] = versions[j], versions[i] })
	slices.SortFunc(versions, Version.Compare)
	for i, v := range versions {
		if v.String() != order[i] {
			t.Errorf("place %d: %s, want %s", i, v, order[i])
		}
	}
}

// What parses prints to something that parses to the same, as a version and as a
// tag.
func FuzzParseVersion(f *testing.F) {
	for _, s := range []string{"v1.32.8+k0s.0", "1.36.1-rc.0-k0s.0", "v1.2.3--k0s.1", "v1.2.3-k0s.1-k0s.2", "v1.2.3-a+k0s.b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		v, err := ParseVersion(s)
		if err != nil {
			if v != (Version{}) {
				t.Errorf("ParseVersion(%q) = %v with an error", s, v)
			}
			return
		}
		for _, again := range []string{v.String(), v.Tag()} {
			if w, err := ParseVersion(again); err != nil || w != v || w.Compare(v) != 0 {
				t.Errorf("%q parses as %+v, whose %q parses as %+v, %v", s, v, again, w, err)
			}
		}
	})
}
