package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k0rdent-airgap/lib/record"
)

func line(t *testing.T, r record.Record) string {
	t.Helper()
	text, err := record.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestRecords covers which records name a bundle, which bind it, and what is
// passed on.
func TestRecords(t *testing.T) {
	odd := blobsOf(platformImage{"amd64", [][]byte{k0sLayer(t, k0sFor("v1.31.0+k0s.0"))}})
	path := writeBundle(t, "tar.gz", entry{"a/odd.tar", odd.archive(t)}, k0sAt(v132, image1(t, v132)), k0sAt(v133, image1(t, v133)))
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	const note = `{"kind":"note",  "text":"<&>"}` + "\n"
	good := line(t, record.Bundle{Path: path, Digest: digestOf(raw), Signature: record.SignatureGood})
	other := line(t, record.Bundle{Path: path, Digest: digestOf(nil), Signature: record.SignatureGood})
	bad := line(t, record.Bundle{Path: path, Signature: record.SignatureBad})
	image := func(bundle, entry, repository, tag, digest string) string {
		return line(t, record.Image{Bundle: bundle, Entry: entry, Repository: repository, Tag: tag, Digest: digest})
	}
	all := image(path, "k0sproject/k0s_v1.32.8-k0s.0.tar", repository, "v1.32.8-k0s.0", "") +
		image(path, "x_1.tar", "x", "1", "") + image(path, "k0sproject/k0s_v1.33.1-k0s.10.tar", repository, "v1.33.1-k0s.10", "")
	for name, tt := range map[string]struct {
		stdin string
		want  string // version
		err   string
	}{
		"bundle":                        {note + line(t, record.Bundle{Path: path}) + note, v133, ""},
		"bundle that was verified":      {note + good + note, v133, ""},
		"version":                       {line(t, record.Version{Bundle: path, Version: "1.2.3"}), v133, ""},
		"version with a list":           {line(t, record.Version{Bundle: path, K0s: []string{v133, v132}}), v133, ""},
		"images":                        {all, v133, ""},
		"images, the bundle after them": {all + good, v133, ""},
		"one image":                     {image(path, "k0sproject/k0s_v1.32.8-k0s.0.tar", repository, "v1.32.8-k0s.0", ""), v132, ""},
		"image that was given a name":   {image(path, "a/odd.tar", "site/"+repository, "v1.31.0-k0s.0", odd.top.Digest), "v1.31.0+k0s.0", ""},
		"image of a registry":           {image("", "", repository, "v1", "") + line(t, record.Bundle{Path: path}), v133, ""},

		"other bytes than verified": {other + note, "", "not the bundle that was verified: want " + digestOf(nil)},
		"images, and other bytes":   {all + other, "", "not the bundle that was verified"},
		"bad signature":             {line(t, record.Bundle{Path: path}) + bad + note, "", "its signature is bad"},
		"other image than listed":   {image(path, "a/odd.tar", repository, "v1.31.0-k0s.0", digestOf(nil)), "", "image " + digestOf(nil) + ", which its record names, is missing"},
		"no records":                {"", "", "no record names a bundle"},
		"none of a bundle":          {note, "", "no record names a bundle"},
		"no image of k0s":           {image(path, "x_1.tar", "x", "1", ""), "", "no image record names k0sproject/k0s"},
		"entry that is not there":   {image(path, "gone.tar", repository, "v1.31.0-k0s.0", ""), "", "does not contain the image k0sproject/k0s"},
		"bundle on another's stdin": {line(t, record.Version{Bundle: "-"}), "", "cannot be read again"},
		"bundle without a path":     {`{"kind":"bundle"}`, "", "without a path"},
		"bundle that is gone":       {line(t, record.Bundle{Path: path + ".gone"}), "", "no such file"},
		"not records":               {string(raw[:300]), "", "not a JSON record"},
		"version of another type":   {`{"kind":"version","bundle":7}`, "", "line 1: version record"},
	} {
		t.Run(name, func(t *testing.T) {
			to := filepath.Join(t.TempDir(), "k0s")
			out, _, err := run1(t, strings.NewReader(tt.stdin), "--to", to)
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Errorf("%v, want %q", err, tt.err)
				}
				if got := names(t, filepath.Dir(to)); got != "" {
					t.Errorf("left behind: %s", got)
				}
			} else if err != nil {
				t.Fatal(err)
			} else {
				checkFile(t, to, k0sFor(tt.want))
				if !strings.HasPrefix(out, tt.stdin+`{"kind":"file"`) {
					t.Errorf("wrote %q, want what came in, and then a file record", out)
				}
			}
			if name == "bad signature" && out != line(t, record.Bundle{Path: path})+bad {
				t.Errorf("wrote %q, want the bad signature to be the last that passes", out)
			}
		})
	}
}

// TestSeveralBundles extracts the newest version of several bundles.
func TestSeveralBundles(t *testing.T) {
	one := writeBundle(t, "tar.gz", k0sAt(v133, image1(t, v133)))
	two := writeBundle(t, "dir", k0sAt(v132, image1(t, v132)))
	to := filepath.Join(t.TempDir(), "k0s")
	for _, in := range []string{one + " " + two, two + " " + one} {
		var stdin string
		for _, path := range strings.Fields(in) {
			stdin += line(t, record.Bundle{Path: path})
		}
		if _, _, err := run1(t, strings.NewReader(stdin), "--to", to, "--replace"); err != nil {
			t.Fatal(err)
		}
		checkFile(t, to, k0sFor(v133))
		if err := os.Remove(to); err != nil {
			t.Fatal(err)
		}
	}
}

// TestReadsNoMoreThanNeeded checks that a stream is decompressed only until the
// known version is found, and that with a digest the rest is only hashed.
func TestReadsNoMoreThanNeeded(t *testing.T) {
	path := writeBundle(t, "tar.gz", k0sAt(v132, image1(t, v132)), entry{"z_1.tar", []byte("z")})
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	short := path + ".short"
	writeFile(t, short, raw[:len(raw)-12], 0o644) // no end of the archive, no checksum
	for args, want := range map[string]bool{"--k0s-version " + v132: true, "": false} {
		to := filepath.Join(t.TempDir(), "k0s")
		_, _, err := run1(t, nil, append(strings.Fields(args), "--to", to, short)...)
		if (err == nil) != want {
			t.Errorf("%q: %v, want success %v", args, err, want)
		}
	}
	to := filepath.Join(t.TempDir(), "k0s")
	for name, tt := range map[string]struct {
		stdin string
		ok    bool
	}{
		"known newest":   {line(t, record.Version{Bundle: short, K0s: []string{v132}}), true},
		"known entry":    {line(t, record.Image{Bundle: short, Entry: "k0sproject/k0s_v1.32.8-k0s.0.tar", Repository: repository, Tag: "v1.32.8-k0s.0"}), true},
		"known digest":   {line(t, record.Version{Bundle: short, K0s: []string{v132}}) + line(t, record.Bundle{Path: short, Digest: digestOf(raw[:len(raw)-12])}), true},
		"another digest": {line(t, record.Version{Bundle: short, K0s: []string{v132}}) + line(t, record.Bundle{Path: short, Digest: digestOf(raw)}), false},
	} {
		_, _, err := run1(t, strings.NewReader(tt.stdin), "--to", to)
		if (err == nil) != tt.ok {
			t.Errorf("%s: %v, want success %v", name, err, tt.ok)
		}
		os.Remove(to)
	}
}

// TestEmbedded runs a build with an embedded k0s.
func TestEmbedded(t *testing.T) {
	p := k0sFor(v132)
	about := line(t, record.File{Digest: digestOf(p), Version: v132, Platform: "linux/amd64"})
	own := embedded{string(p), []byte(about)}
	bundle := line(t, record.Bundle{Path: "/gone", Signature: record.SignatureGood})
	bad := line(t, record.Bundle{Path: "/gone", Signature: record.SignatureBad})
	for name, tt := range map[string]struct {
		own   embedded
		args  string
		stdin string
		want  string // error
	}{
		"asked for":              {own, "--from embedded", "", ""},
		"no other source":        {own, "", "", ""},
		"in a pipe":              {own, "", bundle, ""},
		"behind a bad signature": {own, "", bad, "its signature is bad"},
		"another version":        {own, "--from embedded --k0s-version " + v133, "", "version is v1.32.8+k0s.0, not v1.33.1+k0s.10"},
		"another platform":       {own, "--from embedded --platform linux/arm64", "", "built for linux/amd64, not for linux/arm64"},
		"damaged":                {embedded{string(k0sFor(v133)), []byte(about)}, "--from embedded", "", "this program is damaged"},
		"none":                   {embedded{}, "--from embedded", "", "this build does not include k0s"},
	} {
		to := filepath.Join(t.TempDir(), "k0s")
		out, _, err := runBuild(t, tt.own, strings.NewReader(tt.stdin), append(strings.Fields(tt.args), "--to", to)...)
		if tt.want != "" {
			if err == nil || !strings.Contains(err.Error(), tt.want) || names(t, filepath.Dir(to)) != "" {
				t.Errorf("%s: %v, %s, want %q and no file", name, err, names(t, filepath.Dir(to)), tt.want)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		checkFile(t, to, p)
		if r := records(t, out); r[0].Source != "embedded" || r[0].Version != v132 || !strings.HasPrefix(out, tt.stdin) {
			t.Errorf("%s: %q, want the records that came, and one of the embedded k0s", name, out)
		}
	}
	if out, _, err := runBuild(t, own, nil, "--flavor"); err != nil || out != fmt.Sprintf("flavor plain\nk0s \nplatform linux/amd64\ndigest %s\nbuilt \n", digestOf(p)) {
		t.Errorf("--flavor: %q, %v", out, err)
	}
	if out, _, err := run1(t, nil, "--flavor"); err != nil || out != "flavor plain\n" {
		t.Errorf("--flavor of a build without: %q, %v", out, err)
	}
	if _, _, err := run1(t, nil, "--from", "embedded"); !errors.Is(err, errPlain) {
		t.Errorf("%v, want errPlain", err)
	}
}
