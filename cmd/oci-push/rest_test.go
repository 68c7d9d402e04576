package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"k0rdent-airgap/lib/bundle"
	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/oci"
	"k0rdent-airgap/lib/pipe"
	"k0rdent-airgap/lib/record"
	"k0rdent-airgap/tests/samplebundle"
)

// listed returns the records of each entry of a bundle, as bundle-ls writes them, up to where
// it is damaged.
func listed(t *testing.T, path string) (entries []string) {
	t.Helper()
	b, err := bundle.Open(t.Context(), path, nil)
	if err != nil {
		return nil
	}
	defer b.Close()
	listing := oci.Listing{Bundle: path}
	for e, err := range b.Entries(t.Context()) {
		if errors.Is(err, bundle.ErrEntry) {
			entry, problem := pipe.Refused(err)
			entries = append(entries, line2(record.Skipped{Bundle: path, Entry: entry, Status: record.StatusFailed, Reason: problem.Error()}))
			continue
		}
		if err != nil {
			return entries
		}
		archive, err := oci.Load(t.Context(), e.At, e.Size, e, nil)
		if _, damaged := errors.AsType[*bundle.DamageError](err); damaged {
			return entries
		}
		text := ""
		for _, one := range listing.Entry(e.Path, e.Size, archive, err) {
			if one.Skipped != nil {
				text += line2(*one.Skipped)
			} else {
				text += line2(one.Record)
			}
		}
		entries = append(entries, text)
	}
	return entries
}

func restOf(t *testing.T, path string, listed int) string {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return line2(record.Rest{Bundle: path, Size: info.Size(), Listed: listed})
}

// outcome returns the output of a run, without what depends on its timing.
func outcome(t *testing.T, r result, host string) string {
	t.Helper()
	var lines []string
	for line := range strings.Lines(strings.ReplaceAll(r.stdout, host, "HOST")) {
		var fields map[string]any
		if err := json.Unmarshal([]byte(line), &fields); err != nil {
			t.Fatal(err)
		}
		for _, timing := range []string{"seconds", "bytes", "pushedBytes", "existingBytes"} {
			delete(fields, timing)
		}
		text, _ := json.Marshal(fields)
		lines = append(lines, string(text))
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// TestRestAtAnyInstant: whenever bundle-ls leaves the rest to oci-push, the records and the
// exit code are those of a completely listed bundle.
func TestRestAtAnyInstant(t *testing.T) {
	t.Parallel()
	for _, v := range samplebundle.Vectors() {
		t.Run(v.Name, func(t *testing.T) {
			t.Parallel()
			path, _ := writeSample(t, v.Name, v.Write)
			entries := listed(t, path)
			if len(entries) == 0 {
				t.Fatal("nothing of it is listed")
			}
			host := serve(t, nil)
			all := invoke(t, strings.Join(entries, ""), "--to", host)
			want := outcome(t, all, host)
			n := len(entries)
			instants := []int{0, 1, n / 2, n - 1, n}
			slices.Sort(instants)
			for _, k := range slices.Compact(instants) {
				host := serve(t, nil)
				r := invoke(t, strings.Join(entries[:k], "")+restOf(t, path, k), "--to", host)
				if got := outcome(t, r, host); got != want || cli.Code(r.err) != cli.Code(all.err) {
					t.Errorf("after %d of %d entries:\n got %v\n%s\nwant %v\n%s", k, len(entries), r.err, got, all.err, want)
				}
			}
		})
	}
}

// TestRestComesAfterAFilter: entries that have already passed are still pushed.
func TestRestComesAfterAFilter(t *testing.T) {
	t.Parallel()
	path, m := write(t, samplebundle.Options{Archives: 12})
	host := serve(t, nil)
	in, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	defer out.Close()
	entries := listed(t, path)
	var some, few samplebundle.Manifest
	for i, e := range m.Entries[:len(m.Entries)-1] {
		if i%2 == 0 {
			out.WriteString(entries[i])
			some.Entries = append(some.Entries, e)
		} else {
			out.WriteString(line2(record.Skipped{Bundle: path, Entry: e.Path}))
			few.Entries = append(few.Entries, e)
		}
	}
	done := make(chan result, 1)
	go func() { done <- invokeWith(t, in, "--to", host) }()
	deadline := time.Now().Add(time.Minute)
	for !allThere(t, host, some) {
		if time.Now().After(deadline) {
			t.Fatal("the images that records ask for do not come")
		}
		time.Sleep(10 * time.Millisecond)
	}
	if images, _ := count(few); images == 0 || allThere(t, host, few) {
		t.Fatal("everything was pushed before the rest was asked for")
	}
	out.WriteString(restOf(t, path, 0))
	out.Close()
	if r := <-done; r.err != nil {
		t.Errorf("%v\n%s", r.err, r.stderr)
	}
	checkAll(t, host, "", m)
}

// TestRestIsBound to the verdict on the bundle, and to the file that bundle-ls opened.
func TestRestIsBound(t *testing.T) {
	t.Parallel()
	path, m := write(t, samplebundle.Options{Archives: 12})
	verdict := func(digest string) string {
		return line2(record.Bundle{Path: path, Digest: digest, Signature: record.SignatureGood})
	}
	bad := line2(record.Bundle{Path: path, Signature: record.SignatureBad})
	other := strings.Replace(restOf(t, path, 0), `"size":`, `"size":1`, 1)
	for _, tt := range []struct{ name, stdin, want string }{
		{"the verified bundle", verdict(digestOf(t, path)) + restOf(t, path, 0), ""},
		{"another bundle", verdict("sha256:"+strings.Repeat("0", 64)) + restOf(t, path, 0), "not the bundle that was verified"},
		{"a bad one", bad + restOf(t, path, 0), "signature is bad"},
		{"found bad later", restOf(t, path, 0) + bad, "signature is bad"},
		{"verified late", listed(t, path)[0] + restOf(t, path, 1) + verdict(digestOf(t, path)), ""},
		{"another file", other, "has changed since bundle-ls opened it"},
		{"no file", strings.ReplaceAll(restOf(t, path, 0), path, path+".gone"), "no such file"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var w watcher
			host := serve(t, w.before)
			r := invoke(t, tt.stdin, "--to", host)
			switch {
			case tt.name == "verified late": // then it was either read in time, or is an error
				if r.err != nil && !strings.Contains(r.err.Error(), "came after those of its images") {
					t.Error(r.err)
				}
			case tt.want == "" && r.err != nil:
				t.Errorf("%v\n%s", r.err, r.stderr)
			case tt.want == "":
				checkAll(t, host, "", m)
			case cli.Code(r.err) != cli.CodeFailed || !strings.Contains(r.err.Error(), tt.want):
				t.Errorf("%v (code %d), want %q", r.err, cli.Code(r.err), tt.want)
			case w.manifests() > 0 && tt.name != "found bad later":
				t.Errorf("%d manifests were sent, want none", w.manifests())
			}
		})
	}
}

// TestRestOfSeveralBundles covers a plan and an alias as well.
func TestRestOfSeveralBundles(t *testing.T) {
	t.Parallel()
	one, m := write(t, samplebundle.Options{Archives: 12})
	two, n := write(t, samplebundle.Options{Archives: 14, Format: samplebundle.TarZst})
	stdin := restOf(t, one, 0) + strings.Join(listed(t, two)[:2], "") + restOf(t, two, 2)
	host := serve(t, nil)
	if r := invoke(t, stdin, "--plan", "--to", host); r.err != nil || allThere(t, host, m) {
		t.Errorf("plan: %v", r.err)
	}
	r := invoke(t, stdin, "--to", host, "--alias", "busybox:1.37.0=own/busybox:1")
	images, _ := count(m)
	more, _ := count(n)
	if got := strings.Count(r.stdout, `"kind":"image"`); r.err != nil || got != images+more+1 {
		t.Errorf("%v, %d images, want %d\n%s", r.err, got, images+more+1, r.stderr)
	}
	if strings.Contains(r.stdout, `"kind":"rest"`) {
		t.Errorf("a record that is for oci-push alone was passed on:\n%s", r.stdout)
	}
	checkAll(t, host, "", m)
	checkAll(t, host, "", n)
	if status, _, _ := fetch(t, "http://"+host+"/v2/own/busybox/manifests/1"); status != 200 {
		t.Errorf("the second name: status %d", status)
	}
}

// TestRestOfABundleWithoutImages fails like a named bundle without images.
func TestRestOfABundleWithoutImages(t *testing.T) {
	var content bytes.Buffer
	z := gzip.NewWriter(&content)
	w := tar.NewWriter(z)
	w.WriteHeader(&tar.Header{Name: "charts/README.txt", Mode: 0o644, Size: 5})
	w.Write([]byte("hello"))
	w.Close()
	z.Close()
	path := filepath.Join(t.TempDir(), "bundle")
	if err := os.WriteFile(path, content.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	host := serve(t, nil)
	want := invoke(t, "", "--to", host, path)
	got := invoke(t, restOf(t, path, 0), "--to", host)
	if want.err == nil || got.err == nil || got.err.Error() != want.err.Error() || cli.Code(got.err) != cli.Code(want.err) {
		t.Errorf("%v, want %v", got.err, want.err)
	}
}
