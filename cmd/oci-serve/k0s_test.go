package main

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

func TestSpellings(t *testing.T) {
	for name, other := range map[string]string{
		"k0s-v1.32.8+k0s.0-amd64":                          "k0s-v1.32.8-k0s.0-amd64",
		"k0s-v1.35.1-k0s.1-arm64":                          "k0s-v1.35.1+k0s.1-arm64",
		"k0s-v1.33.0-rc.1+k0s.0-amd64":                     "k0s-v1.33.0-rc.1-k0s.0-amd64",
		"k0s-v1.32.8+k0s.0-amd64.sig":                      "k0s-v1.32.8-k0s.0-amd64.sig",
		"k0s-v1.32.8+k0s.0-amd64.sigstore.json":            "k0s-v1.32.8-k0s.0-amd64.sigstore.json",
		"k0s-1.32.8-k0s.0.mirantis-amd64":                  "k0s-1.32.8+k0s.0.mirantis-amd64",
		"k0s-airgap-bundle-v1.36.3+k0s.0-linux-amd64.tar":  "k0s-airgap-bundle-v1.36.3-k0s.0-linux-amd64.tar",
		"k0s-airgap-bundle-v1.36.3-k0s.0-linux-x86_64.tar": "k0s-airgap-bundle-v1.36.3+k0s.0-linux-x86_64.tar",
	} {
		if got := spellings(name); !slices.Equal(got, []string{name, other}) {
			t.Errorf("spellings(%q) = %q, want %q as well", name, got, other)
		}
	}
	for _, name := range []string{
		"", ".", "..", "k0s", "k0s-", "lock", "index.json", "k0s-v1.32.8", "k0s-v1.32.8+k0s.0", "k0s-v1.32.8 k0s.0-amd64",
		"K0S-v1.32.8+k0s.0-amd64", "k0s-v1.32.8+k0s.0-../x", "../k0s-v1.32.8+k0s.0-amd64", "a/k0s-v1.32.8+k0s.0-amd64",
		"k0s-v1.32.8+k0s.0-amd64/", "k0s-v1.32.8+k0s.0-amd64\n", "k0s-v1.32.8%2Bk0s.0-amd64", "k0s+v1.32.8+k0s.0+amd64",
	} {
		if got := spellings(name); got != nil {
			t.Errorf("spellings(%q) = %q, want none", name, got)
		}
	}
}

// Whatever the path, it leads to a plain name of a k0s file or to none, and both
// spellings lead to the same two.
func FuzzK0sName(f *testing.F) {
	for _, path := range []string{"/k0s/k0s-v1.32.8+k0s.0-amd64", "/k0rdent-enterprise/k0s-v1.32.8-k0s.0-amd64.sig", "/files/k0s/k0s-v1.32.8-k0s.0-amd64", "/k0s/../lock", "/k0s//x", "/k0s/", "/k0s"} {
		f.Add(path)
	}
	f.Fuzz(func(t *testing.T, path string) {
		name, ok := strings.CutPrefix(fileName(path), k0sDir)
		if !ok {
			return
		}
		all := spellings(name)
		for _, one := range all {
			if strings.ContainsAny(one, "/\\\x00") || !filepath.IsLocal(one) || !strings.HasPrefix(one, "k0s-") || !strings.HasSuffix(path, "/"+name) {
				t.Errorf("%q leads to %q", path, one)
			}
			if again := spellings(one); len(again) != 2 || again[0] != one || !slices.Contains(again, name) {
				t.Errorf("%q leads to %q, which leads to %q", path, one, again)
			}
		}
		if len(all) > 0 && all[0] != name {
			t.Errorf("%q leads to %q first", path, all[0])
		}
	})
}

// putK0s puts files into the directory of k0s files.
func putK0s(t *testing.T, storage string, names ...string) string {
	t.Helper()
	dir := filepath.Join(storage, "k0s")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("this is "+name), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestK0sFiles(t *testing.T) {
	h, storage := pagesOver(t, "loopback", "any", nil)
	get := func(method, target string, headers ...string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(method, target, nil)
		for i := 0; i < len(headers); i += 2 {
			r.Header.Set(headers[i], headers[i+1])
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w
	}
	if w := get("GET", "/k0s/"); w.Code != 200 || w.Body.Len() != 0 {
		t.Errorf("list without a directory: %d %q", w.Code, w.Body)
	}
	const old, new, both = "k0s-v1.32.8+k0s.0-amd64", "k0s-v1.35.1-k0s.1-amd64", "k0s-v1.36.3+k0s.0-amd64"
	if w := get("GET", "/k0s/"+old); w.Code != 404 || !strings.Contains(w.Body.String(), "/k0s/ lists") {
		t.Errorf("before it is there: %d %q", w.Code, w.Body)
	}
	putK0s(t, storage, old, new, both, strings.Replace(both, "+", "-", 1), old+".sig", "notes.txt")
	for target, want := range map[string]string{
		"/k0s/k0s-v1.32.8+k0s.0-amd64":                     old,
		"/k0s/k0s-v1.32.8%2Bk0s.0-amd64":                   old,
		"/k0s/k0s-v1.32.8%2bk0s.0-amd64":                   old,
		"/k0s/k0s-v1.32.8-k0s.0-amd64":                     old,
		"/k0rdent-enterprise/k0s-v1.32.8-k0s.0-amd64":      old,
		"/k0rdent-enterprise/k0s-v1.32.8%2Bk0s.0-amd64?x=": old,
		"/k0s/k0s-v1.32.8-k0s.0-amd64.sig":                 old + ".sig",
		"/k0s/k0s-v1.35.1+k0s.1-amd64":                     new,
		"/k0s/k0s-v1.35.1-k0s.1-amd64":                     new,
		"/k0s/k0s-v1.36.3+k0s.0-amd64":                     both,
		"/k0s/k0s-v1.36.3-k0s.0-amd64":                     strings.Replace(both, "+", "-", 1),
	} {
		if w := get("GET", target); w.Code != 200 || w.Body.String() != "this is "+want || w.Header().Get("Content-Type") != "application/octet-stream" {
			t.Errorf("GET %s = %d %q, want %s", target, w.Code, w.Body, want)
		}
		if w := get("HEAD", target); w.Code != 200 || w.Body.Len() != 0 || w.Header().Get("Content-Length") == "0" {
			t.Errorf("HEAD %s = %d %q %v", target, w.Code, w.Body, w.Header())
		}
	}
	w := get("GET", "/k0s/"+old, "Range", "bytes=8-")
	if w.Code != 206 || w.Body.String() != old {
		t.Errorf("range = %d %q, want the name", w.Code, w.Body)
	}
	if w := get("GET", "/k0s/"+old, "Range", "bytes=8-", "If-Range", `"another"`); w.Code != 200 {
		t.Errorf("range of another file = %d, want all of this one", w.Code)
	}
	if w := get("GET", "/k0s/"+old, "If-None-Match", w.Header().Get("ETag")); w.Code != 304 {
		t.Errorf("the same again = %d, want 304", w.Code)
	}
	want := []string{old, old + ".sig", new, both, strings.Replace(both, "+", "-", 1), ""}
	slices.Sort(want)
	if got := strings.Split(get("GET", "/k0s/").Body.String(), "\n"); !slices.Equal(slices.Sorted(slices.Values(got)), want) {
		t.Errorf("list = %q, want %q", got, want)
	}
	for _, method := range []string{"POST", "PUT", "DELETE", "PATCH"} {
		if w := get(method, "/k0s/"+old); w.Code != 405 || w.Header().Get("Allow") != "GET, HEAD" {
			t.Errorf("%s = %d %v", method, w.Code, w.Header())
		}
	}
}

// Nothing but k0s files is in reach, whatever lies there or is asked for.
func TestK0sFilesAlone(t *testing.T) {
	h, storage := pagesOver(t, "loopback", "any", nil)
	dir := putK0s(t, storage, "notes.txt", ".hidden")
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	name := func(n string) string { return filepath.Join(dir, "k0s-v1.0."+n+"+k0s.0-amd64") }
	for _, err := range []error{
		os.Symlink(secret, name("0")),
		os.Symlink("../lock", name("1")),
		syscall.Mkfifo(name("2"), 0o644),
		os.Mkdir(name("3"), 0o755),
		os.Symlink("notes.txt", name("4")), // within, by the operator's own hand
		os.Symlink(name("5"), name("5")),
		os.Link(secret, filepath.Join(storage, "k0s-v1.0.6+k0s.0-amd64")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for target, want := range map[string]int{
		"/k0s/k0s-v1.0.0+k0s.0-amd64":                       500, // the log says where the link leads
		"/k0s/k0s-v1.0.1+k0s.0-amd64":                       500,
		"/k0s/k0s-v1.0.2+k0s.0-amd64":                       404,
		"/k0s/k0s-v1.0.3+k0s.0-amd64":                       404,
		"/k0s/k0s-v1.0.4+k0s.0-amd64":                       200,
		"/k0s/k0s-v1.0.5+k0s.0-amd64":                       500,
		"/k0s/k0s-v1.0.6+k0s.0-amd64":                       404,
		"/k0s/../k0s-v1.0.6+k0s.0-amd64":                    404,
		"/k0s/..%2fk0s-v1.0.6+k0s.0-amd64":                  404,
		"/k0s/%2e%2e/k0s-v1.0.6+k0s.0-amd64":                404,
		"/k0s/notes.txt":                                    404,
		"/k0s/.hidden":                                      404,
		"/k0s/.":                                            404,
		"/k0s/..":                                           404,
		"/k0s/../lock":                                      404,
		"/k0s/%2e%2e%2flock":                                404,
		"/k0s//etc/passwd":                                  404,
		"/k0s/%2fetc%2fpasswd":                              404,
		"/k0s/k0s-v1.0.4%252Bk0s.0-amd64":                   404,
		"/k0s/k0s-v1.0.4+k0s.0-amd64%00":                    404,
		"/k0rdent-enterprise/tls/ca.key":                    404,
		"/k0s":                                              404,
		"/K0S/k0s-v1.0.4+k0s.0-amd64":                       404,
		"/x/../k0s/k0s-v1.0.4+k0s.0-amd64":                  404,
		"/k0s/1.2.3/k0s-v1.0.4+k0s.0-amd64":                 404,
		"/k0s/k0s-v1.0.4+k0s.0-" + strings.Repeat("a", 255): 404,
		"/k0rdent-enterprise/../k0s-v1.0.4-amd64":           404,
	} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, target, nil))
		if w.Code != want || strings.Contains(w.Body.String(), "secret") {
			t.Errorf("GET %s = %d %q, want %d", target, w.Code, w.Body, want)
		}
	}
}

// Neither the collection of garbage nor a search for damage has to do with k0s
// files.
func TestK0sFilesStay(t *testing.T) {
	storage := t.TempDir()
	c := startChild(t, storage)
	dir := putK0s(t, storage, "k0s-v1.32.8+k0s.0-amd64", "notes.txt")
	c.want(200, "GET", "/k0s/k0s-v1.32.8-k0s.0-amd64", nil)
	c.kill()
	before := listing(t, dir)
	for _, args := range [][]string{{"--gc"}, {"--scrub"}, {"--scrub", "--repair"}} {
		var stdout, stderr bytes.Buffer
		if err := run(t.Context(), append(args, "--storage", storage), nil, &stdout, &stderr); err != nil {
			t.Errorf("%q: %v", args, err)
		}
	}
	if after := listing(t, dir); !slices.Equal(after, before) || len(before) < 2 {
		t.Errorf("files are %q, were %q", after, before)
	}
}
