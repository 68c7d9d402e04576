package oci

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"k0rdent-airgap/lib/ref"
)

// with adds an annotation.
func with(d v1.Descriptor, key, value string) v1.Descriptor {
	all := map[string]string{key: value}
	for k, v := range d.Annotations {
		all[k] = v
	}
	d.Annotations = all
	return d
}

// referrer adds an artifact that refers to another manifest.
func (l *layout) referrer(subject v1.Descriptor, body string) v1.Descriptor {
	config, layer := l.blob("application/vnd.oci.empty.v1+json", "{}"), l.blob("text/plain", body)
	return l.blob(types.OCIManifestSchema1, toJSON(l.t, v1.Manifest{
		SchemaVersion: 2, MediaType: types.OCIManifestSchema1, Config: config, Layers: []v1.Descriptor{layer}, Subject: &subject,
	}))
}

// In an archive with several manifests, the entry's name belongs to one of
// them, and no image gets another's name.
func TestNamed(t *testing.T) {
	tag := func(d v1.Descriptor) string { return "sha256-" + d.Digest.Hex }
	docker := func(d v1.Descriptor, name string) v1.Descriptor {
		return with(at(d, name[strings.LastIndex(name, ":")+1:]), fullName, "docker.io/"+name)
	}
	kind := func(d v1.Descriptor, kind string) v1.Descriptor {
		return with(d, "kind", "dev.cosignproject.cosign/"+kind)
	}
	for _, tt := range []struct {
		name  string
		entry string
		build func(l *layout, x, y v1.Descriptor) []v1.Descriptor
		want  string // repository:tag or repository@ of x, y, z, "" for ErrNames
	}{
		{"one without a name", "a/b_1.0.tar", func(l *layout, x, y v1.Descriptor) []v1.Descriptor { return []v1.Descriptor{x} }, "x=a/b:1.0"},
		{"one of another tag", "a/b_1.0.tar", func(l *layout, x, y v1.Descriptor) []v1.Descriptor { return []v1.Descriptor{at(x, "latest")} }, "x=a/b:1.0"},
		{"one of another name", "a/b_1.0.tar", func(l *layout, x, y v1.Descriptor) []v1.Descriptor { return []v1.Descriptor{docker(x, "other:2.0")} }, "x=a/b:1.0"},
		{"one of two tags", "a/b_1.0.tar", func(l *layout, x, y v1.Descriptor) []v1.Descriptor {
			return []v1.Descriptor{docker(x, "h/b:1.0"), docker(x, "h/b:latest"), docker(x, "h/b:latest"), docker(x, "h/c:1.0")}
		}, "x=a/b:1.0 x=a/b:latest"},
		{"one of two tags, neither the entry's", "a/b_1.0.tar", func(l *layout, x, y v1.Descriptor) []v1.Descriptor {
			return []v1.Descriptor{at(x, "v1"), at(x, "v2")}
		}, "x=a/b:1.0"},
		{"one listed twice", "a/b_1.0.tar", func(l *layout, x, y v1.Descriptor) []v1.Descriptor { return []v1.Descriptor{x, x} }, "x=a/b:1.0"},
		{"referrer before", "a/b_1.0.tar", func(l *layout, x, y v1.Descriptor) []v1.Descriptor {
			return []v1.Descriptor{l.referrer(x, "sig"), at(x, "1.0")}
		}, "z=a/b@ x=a/b:1.0"},
		{"referrer after", "a/b_1.0.tar", func(l *layout, x, y v1.Descriptor) []v1.Descriptor {
			return []v1.Descriptor{at(x, "1.0"), l.referrer(x, "sig")}
		}, "x=a/b:1.0 z=a/b@"},
		{"referrer, and no name at all", "a/b_1.0.tar", func(l *layout, x, y v1.Descriptor) []v1.Descriptor {
			return []v1.Descriptor{l.referrer(x, "sig"), x}
		}, "z=a/b@ x=a/b:1.0"},
		{"referrer of something elsewhere", "a/b_1.0.tar", func(l *layout, x, y v1.Descriptor) []v1.Descriptor {
			return []v1.Descriptor{l.referrer(v1.Descriptor{Digest: digestOf("gone"), MediaType: types.OCIManifestSchema1, Size: 4}, "sig"), x}
		}, "z=a/b@ x=a/b:1.0"},
		{"referrer alone", "a/b_1.0.tar", func(l *layout, x, y v1.Descriptor) []v1.Descriptor {
			return []v1.Descriptor{l.referrer(x, "sig")}
		}, "z=a/b:1.0"},
		{"index and its children", "a/b_1.0.tar", func(l *layout, x, y v1.Descriptor) []v1.Descriptor {
			return []v1.Descriptor{x, l.index(on(x, "linux", "amd64"), on(y, "linux", "arm64")), y}
		}, "z=a/b:1.0"},
		{"index and a child of a name of its own", "a/b_1.0.tar", func(l *layout, x, y v1.Descriptor) []v1.Descriptor {
			return []v1.Descriptor{l.index(x, y), at(x, "1.0-amd64"), y}
		}, "z=a/b:1.0 x=a/b:1.0-amd64"},
		{"index and a child, both of the entry's name", "a/b_1.0.tar", func(l *layout, x, y v1.Descriptor) []v1.Descriptor {
			return []v1.Descriptor{at(x, "1.0"), at(l.index(x, y), "1.0")}
		}, "z=a/b:1.0"},
		{"fallback tag before", "a/b_1.0.tar", func(l *layout, x, y v1.Descriptor) []v1.Descriptor {
			return []v1.Descriptor{at(l.index(l.referrer(x, "sig")), tag(x)), x}
		}, "z=a/b:" + "TAG x=a/b:1.0"},
		{"cosign's tags", "a/b_1.0.tar", func(l *layout, x, y v1.Descriptor) []v1.Descriptor {
			return []v1.Descriptor{at(y, "h/b:"+tag(x)+".sig"), at(x, "h/b:1.0")}
		}, "y=a/b:TAG.sig x=a/b:1.0"},
		{"saved by cosign", "a/b_1.0.tar", func(l *layout, x, y v1.Descriptor) []v1.Descriptor {
			return []v1.Descriptor{kind(x, "image"), kind(y, "sigs"), kind(l.image("linux", "amd64", "att"), "atts")}
		}, "x=a/b:1.0 y=a/b:TAG.sig z=a/b:TAG.att"},
		{"a repository's tags", "a/b_2.tar", func(l *layout, x, y v1.Descriptor) []v1.Descriptor {
			return []v1.Descriptor{at(x, "1"), at(y, "2")}
		}, "x=a/b:1 y=a/b:2"},
		{"a named one and one without a name", "a/b_1.tar", func(l *layout, x, y v1.Descriptor) []v1.Descriptor {
			return []v1.Descriptor{y, at(x, "1")}
		}, "y=a/b@ x=a/b:1"},
		{"a repository's tags, one of them twice", "a/b_2.tar", func(l *layout, x, y v1.Descriptor) []v1.Descriptor {
			return []v1.Descriptor{at(x, "1"), at(l.image("linux", "arm", "z"), "2"), at(y, "1")}
		}, ""},
		{"two without a name", "a/b_1.tar", func(l *layout, x, y v1.Descriptor) []v1.Descriptor { return []v1.Descriptor{x, y} }, ""},
		{"two of the entry's name", "a/b_1.tar", func(l *layout, x, y v1.Descriptor) []v1.Descriptor {
			return []v1.Descriptor{at(x, "1"), at(y, "h/b:1")}
		}, ""},
		{"two, neither of the entry's name", "a/b_1.0.tar", func(l *layout, x, y v1.Descriptor) []v1.Descriptor {
			return []v1.Descriptor{docker(x, "library/aa:1.37"), docker(y, "library/bb:2.0")}
		}, ""},
		{"two of different names, one with the entry's tag", "a/two_1.37.tar", func(l *layout, x, y v1.Descriptor) []v1.Descriptor {
			return []v1.Descriptor{docker(x, "library/aa:1.37"), docker(y, "library/bb:2.0")}
		}, ""},
		{"two tags, either of which the entry's name may mean", "a_b_c.tar", func(l *layout, x, y v1.Descriptor) []v1.Descriptor {
			return []v1.Descriptor{at(x, "c"), at(y, "b_c")}
		}, ""},
		{"only what belongs to others", "a/b_1.tar", func(l *layout, x, y v1.Descriptor) []v1.Descriptor {
			return []v1.Descriptor{l.referrer(x, "sig"), l.referrer(y, "sig")}
		}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := &layout{t: t}
			x, y := l.image("linux", "amd64", "x"), l.image("linux", "arm64", "y")
			letters := map[v1.Hash]string{x.Digest: "x", y.Digest: "y"}
			both(t, l.archive(tt.build(l, x, y)...), func(how string, a *Archive, images []*Image, err error) {
				if err != nil {
					t.Fatalf("%s: %v", how, err)
				}
				all, err := a.Named(tt.entry, nil)
				var got []string
				for _, n := range all {
					letter := letters[n.Descriptor.Digest]
					if letter == "" {
						letter = "z"
					}
					name := n.Reference.Repository + "@"
					if n.Reference.Tag != "" {
						name = n.Reference.String()
					}
					got = append(got, letter+"="+name)
				}
				want := strings.ReplaceAll(tt.want, "TAG", tag(x))
				if strings.Join(got, " ") != want || errors.Is(err, ErrNames) != (want == "") {
					t.Fatalf("%s: Named(%s) = %s, %v, want %s", how, tt.entry, got, err, want)
				}
				main, mainErr := a.Main(tt.entry)
				named := slices.ContainsFunc(all, func(n Named) bool { return n.Image == main })
				if (mainErr == nil) != (main != nil) || err == nil && !named {
					t.Errorf("%s: Main = %v, %v", how, main, mainErr)
				}
				given := ref.Reference{Repository: "p/q", Tag: "r"}
				all, _ = a.Named(tt.entry, &given)
				for _, n := range all {
					if n.Reference.Repository != "p/q" || n.Image == main && n.Reference.Tag != "r" && len(n.Names) < 2 {
						t.Errorf("%s: %v is %v, want it at %v", how, n.Descriptor.Digest, n.Reference, given)
					}
				}
			})
		})
	}
}

// Nothing that was meant to be pushed is left out silently.
func TestStray(t *testing.T) {
	for _, tt := range []struct {
		entry string
		err   error
		want  bool
	}{
		{"README", ErrNotArchive, true},
		{"docs/notes.tar", ErrNotArchive, true},
		{"bins/k0s_v1.2.3", ErrNotArchive, true},
		{"._a_1.0.tar", ErrNotArchive, true},
		{"__MACOSX/a_1.0.tar", ErrNotArchive, true},
		{"a/b_1.0.tar", ErrNotArchive, false},
		{"a/b_1.0.tgz", ErrNotArchive, false},
		{"a/b_1.0.tar.xz", ErrNotArchive, false},
		{"a/b:1.0.tar", ErrNotArchive, false},
		{"skopeo_v1.17.0.tar", ErrDockerArchive, true},
		{"tools/skopeo_v1.17.0.tar", ErrDockerArchive, true},
		{"a/b_1.0.tar", ErrDockerArchive, false},
		{"notes", ErrDockerArchive, false},
		{"charts/foo-1.2.3.tgz", ErrChartPackage, false},
		{"README", ErrInvalid, false},
	} {
		if got := Stray(tt.entry, tt.err); got != tt.want {
			t.Errorf("Stray(%q, %v) = %v, want %v", tt.entry, tt.err, got, tt.want)
		}
	}
}

// Whatever index.json says, no two images share a reference, none is invalid,
// and one has the entry's own name.
func FuzzNamed(f *testing.F) {
	f.Add("a/b_1.0.tar", `[{"x":"1.0"},{"y":"2.0"}]`)
	f.Add("a/b_1.0.tar", `[{"x":"h/b:1.0"},{"y":"h/c:1.0"},{"x":"latest"}]`)
	f.Add("a_b_c.tar", `[{"x":"c"},{"y":"b_c"},{"z":""},{"s":""}]`)
	f.Add("a_1.tar", `[{"z":"1"},{"x":"1"},{"s":"sha256-00"}]`)
	f.Fuzz(func(t *testing.T, entry, list string) {
		var listed []map[string]string
		if json.Unmarshal([]byte(list), &listed) != nil || len(listed) > 20 {
			return
		}
		l := &layout{t: t}
		x, y := l.image("linux", "amd64", "x"), l.image("linux", "arm64", "y")
		known := map[string]v1.Descriptor{"x": x, "y": y, "z": l.index(x, y), "s": l.referrer(x, "sig")}
		var roots []v1.Descriptor
		for _, one := range listed {
			for letter, name := range one {
				if d, ok := known[letter]; ok {
					roots = append(roots, at(d, name))
				}
			}
		}
		content := l.archive(roots...)
		a, err := Open(bytes.NewReader(content), int64(len(content)))
		if err != nil {
			t.Fatal(err)
		}
		all, err := a.Named(entry, nil)
		if err != nil {
			if !errors.Is(err, ErrNames) && !errors.Is(err, ErrInvalid) && !errors.Is(err, ref.ErrInvalid) {
				t.Fatalf("an error of no kind: %v", err)
			}
			return
		}
		main, err := a.Main(entry)
		if err != nil {
			t.Fatalf("Named returns %d images, Main %v", len(all), err)
		}
		own, _, err := ref.Resolve(entry, ref.Metadata{})
		digests := map[string]v1.Hash{}
		for _, n := range all {
			name := n.Reference.String()
			if n.Reference.Tag == "" {
				name += n.Descriptor.Digest.String()
			} else if n.Reference.Check() != nil {
				t.Fatalf("%v is invalid", n.Reference)
			}
			if _, twice := digests[name]; twice {
				t.Fatalf("duplicate reference %s", name)
			}
			digests[name] = n.Descriptor.Digest
			if err == nil && n.Reference == own && n.Image != main {
				t.Fatalf("the entry's name belongs to an image other than %v", main.Names)
			}
		}
	})
}
