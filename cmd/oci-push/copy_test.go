package main

import (
	"encoding/json"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/record"
	"k0rdent-airgap/tests/samplebundle"
)

// filled returns a registry that holds a sample bundle below a prefix.
func filled(t *testing.T, prefix string, o samplebundle.Options, before func(http.ResponseWriter, *http.Request) bool) (host string, m samplebundle.Manifest) {
	t.Helper()
	path, m := write(t, o)
	host = serve(t, before)
	if r := invoke(t, "", "--to", host+"/"+prefix, path); r.err != nil {
		t.Fatal(r.err)
	}
	return host, m
}

func TestCopyOfAWholeRegistry(t *testing.T) {
	t.Parallel()
	from, m := filled(t, "site/a", samplebundle.Options{}, nil)
	if r := invoke(t, "", "--to", from+"/other", write2(t)); r.err != nil {
		t.Fatal(r.err)
	}
	to := serve(t, nil)
	images, _ := count(m)
	images++ // the sample's only referrer without a tag
	for _, status := range []string{"pushed", "exists"} {
		r := invoke(t, "", "--from", from+"/site/a", "--to", to+"/b", "--platform", "linux/amd64,linux/arm64")
		if r.err != nil || r.statuses()[status] != images || len(r.images) != images {
			t.Fatalf("%v, %v, want %d %s\n%s", r.err, r.statuses(), images, status, r.stderr)
		}
	}
	checkAll(t, to, "b/", m)
}

// write2 returns a bundle with other content, which a prefix must exclude.
func write2(t *testing.T) string {
	path, _ := write(t, samplebundle.Options{Seed: 7, Archives: 3})
	return path
}

func TestCopyOfWhatRecordsName(t *testing.T) {
	from, m := filled(t, "", samplebundle.Options{Archives: 12}, nil)
	to := serve(t, nil)
	var e samplebundle.Entry
	for _, e = range m.Entries {
		if e.Type == "index" {
			break
		}
	}
	line := func(i record.Image) string { return line2(i) }
	in := line(record.Image{Bundle: "/gone.tgz", Entry: e.Path, Repository: e.Repository, Tag: e.Tag, Digest: e.Digest}) +
		line(record.Image{Repository: e.Repository, Tag: "no-such-tag"}) +
		line(record.Image{Repository: e.Repository, Tag: e.Tag, Digest: "sha256:" + strings.Repeat("0", 64)})
	r := invoke(t, in, "--from", from, "--to", to, "-")
	if cli.Code(r.err) != cli.CodeFailed || !strings.Contains(r.err.Error(), "2 of 3 images failed") {
		t.Errorf("%v, want two of three failed\n%s", r.err, r.stderr)
	}
	checkEntry(t, to, "", e)
	_, body, _ := fetch(t, "http://"+to+"/v2/_catalog")
	var catalog struct{ Repositories []string }
	if err := json.Unmarshal(body, &catalog); err != nil || len(catalog.Repositories) != 1 {
		t.Errorf("catalog = %s, want one repository", body)
	}
}

// A broken download resumes where it stopped.
func TestCopyRidesOutBrokenDownloads(t *testing.T) {
	t.Parallel()
	var ranges, n atomic.Int64
	var rough atomic.Bool
	from, m := filled(t, "", samplebundle.Options{Size: 24 << 20, Archives: 4}, func(w http.ResponseWriter, r *http.Request) bool {
		if !rough.Load() || r.Method != http.MethodGet || !strings.Contains(r.URL.Path, "/blobs/") {
			return false
		}
		if r.Header.Get("Range") != "" {
			ranges.Add(1)
		} else if n.Add(1) <= 3 {
			panic(http.ErrAbortHandler)
		}
		return false
	})
	rough.Store(true)
	through := cutter(t, from, 1<<30, 0)
	slow := downCutter(t, through, 3<<20, 4)
	to := serve(t, nil)
	if r := invoke(t, "", "--from", slow, "--to", to); r.err != nil {
		t.Fatalf("%v\n%s", r.err, r.stderr)
	}
	if ranges.Load() == 0 {
		t.Error("no download was resumed")
	}
	checkAll(t, to, "", m)
}

func TestCopyReportsWhatIsWrong(t *testing.T) {
	empty, to := serve(t, nil), serve(t, nil)
	noList := serve(t, func(w http.ResponseWriter, r *http.Request) bool {
		if strings.HasSuffix(r.URL.Path, "/_catalog") {
			w.WriteHeader(http.StatusForbidden)
			return true
		}
		return false
	})
	tests := []struct {
		name string
		args []string
		code int
		want string
	}{
		{"empty source", []string{"--from", empty}, cli.CodeFailed, "nothing to copy"},
		{"no catalog", []string{"--from", noList}, cli.CodeFailed, "403"},
		{"no records", []string{"--from", empty, "-"}, cli.CodeFailed, "no image records"},
		{"a bundle", []string{"--from", empty, "b.tgz"}, cli.CodeMisuse, "--from and a bundle are mutually exclusive"},
		{"verified by", []string{"--from", empty, "--verified-by", "x"}, cli.CodeMisuse, "mutually exclusive"},
		{"wrong source", []string{"--from", "http://x"}, cli.CodeMisuse, `--from "http://x"`},
	}
	for _, tt := range tests {
		r := invoke(t, "", append([]string{"--to", to}, tt.args...)...)
		if cli.Code(r.err) != tt.code || !strings.Contains(r.err.Error(), tt.want) {
			t.Errorf("%s: %v, code %d, want %q, code %d", tt.name, r.err, cli.Code(r.err), tt.want, tt.code)
		}
	}
}
