package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func sumText(content []byte) string { return fmt.Sprintf("%x", sha256.Sum256(content)) }

// putFile pushes a file as oci-push does.
func (c *child) putFile(repository, tag, name string, content []byte) {
	c.t.Helper()
	for _, blob := range [][]byte{content, []byte("{}")} {
		c.want(http.StatusCreated, "POST", "/v2/"+repository+"/blobs/uploads/?digest=sha256:"+sumText(blob), blob)
	}
	manifest := fmt.Sprintf(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","artifactType":"application/vnd.k0rdent-airgap.file.v1",`+
		`"config":{"mediaType":"application/vnd.oci.empty.v1+json","size":2,"digest":"sha256:%s"},`+
		`"layers":[{"mediaType":"application/octet-stream","size":%d,"digest":"sha256:%s"}],"annotations":{"vnd.k0rdent-airgap.file.name":%q}}`,
		sumText([]byte("{}")), len(content), sumText(content), name)
	c.want(http.StatusCreated, "PUT", "/v2/"+repository+"/manifests/"+tag, []byte(manifest), "Content-Type", "application/vnd.oci.image.manifest.v1+json")
}

// Files are served on both listeners; the second one has nothing else, and
// changes nothing.
func TestFiles(t *testing.T) {
	storage := t.TempDir()
	k0s := "k0s-v1.32.8+k0s.0-amd64"
	putK0s(t, storage, k0s)
	c := startChild(t, storage, "--files-http", "127.0.0.1:0")
	kernel := bytes.Repeat([]byte("kernel"), 100_000)
	c.putFile("files/k0rdent-bm/ipa", "kernel-1", "k0rdent-bm/ipa/kernel-1", kernel)
	c.putFile("site/files/k0rdent-bm", "x.qcow2", "k0rdent-bm/x.qcow2", []byte("disk"))
	c.putFile("files/other", "lies", "k0rdent-bm/elsewhere", []byte("lies"))
	c.putFile("files/up", "etc", "../etc", []byte("up"))
	plain := &child{t: t, url: c.record.Files}
	for _, tt := range []struct {
		on     *child
		target string
		want   []byte
	}{
		{c, "/files/k0rdent-bm/ipa/kernel-1", kernel},
		{c, "/files/k0rdent-bm/x.qcow2", []byte("disk")},
		{plain, "/k0rdent-bm/ipa/kernel-1", kernel},
		{plain, "/files/k0rdent-bm/ipa/kernel-1", kernel},
		{plain, "/k0rdent-bm/x.qcow2", []byte("disk")},
		{plain, "/k0s/k0s-v1.32.8-k0s.0-amd64", []byte("this is " + k0s)},
		{plain, "/k0rdent-enterprise/k0s-v1.32.8%2Bk0s.0-amd64", []byte("this is " + k0s)},
		{plain, "/k0s/", []byte(k0s + "\n")},
		{plain, "/files/k0s/" + k0s, []byte("this is " + k0s)},
		{c, "/files/k0s/k0s-v1.32.8-k0s.0-amd64", []byte("this is " + k0s)},
	} {
		resp, body, err := do("GET", tt.on.url+tt.target, nil)
		if err != nil || resp.StatusCode != 200 || !bytes.Equal(body, tt.want) {
			t.Errorf("%s: %v, %v, %d bytes", tt.target, err, resp, len(body))
		}
		if resp, body, _ := do("HEAD", tt.on.url+tt.target, nil); resp.StatusCode != 200 || resp.ContentLength != int64(len(tt.want)) || len(body) > 0 {
			t.Errorf("HEAD %s: %v", tt.target, resp)
		}
	}
	resp, body, err := do("GET", plain.url+"/k0rdent-bm/ipa/kernel-1", nil, "Range", "bytes=599995-")
	if err != nil || resp.StatusCode != http.StatusPartialContent || string(body) != "ernel" {
		t.Errorf("range: %v, %v, %q", err, resp, body)
	}
	for _, target := range []string{"/v2/", "/v2/_catalog", "/metrics", "/healthz", "/v2/files/other/manifests/lies", "/files/k0rdent-bm/elsewhere", "/other/lies",
		"/up/etc", "/../etc", "/k0s/notes.txt", "/index.json", "/k0rdent-bm", "/k0rdent-bm/ipa/", "/%2e%2e/etc"} {
		plain.want(http.StatusNotFound, "GET", target, nil)
	}
	for _, method := range []string{"POST", "PUT", "PATCH", "DELETE"} {
		plain.want(http.StatusMethodNotAllowed, method, "/v2/files/other/manifests/lies", nil)
		plain.want(http.StatusMethodNotAllowed, method, "/k0rdent-bm/ipa/kernel-1", nil)
	}
	c.want(http.StatusOK, "GET", "/v2/files/other/manifests/lies", nil)
}

// sha256sum accepts the checksums of what was downloaded, and the page has the
// same.
func TestFileSums(t *testing.T) {
	storage := t.TempDir()
	putK0s(t, storage, "k0s-v1.32.8+k0s.0-amd64")
	c := startChild(t, storage, "--files-http", "127.0.0.1:0")
	c.putFile("files/k0rdent-bm/ipa", "kernel-1", "k0rdent-bm/ipa/kernel-1", []byte("kernel"))
	c.putFile("files", "ipxe.efi", "ipxe.efi", []byte("ipxe"))
	dir := t.TempDir()
	_, sums, err := do("GET", c.record.Files+"/sha256sums.txt", nil)
	if err != nil || strings.Count(string(sums), "\n") != 3 {
		t.Fatalf("%v, %q", err, sums)
	}
	_, page, _ := do("GET", c.record.Files+"/", nil)
	for line := range strings.Lines(string(sums)) {
		sum, name, _ := strings.Cut(strings.TrimSpace(line), "  ")
		_, body, err := do("GET", c.record.Files+"/"+name, nil)
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(dir, name)
		os.MkdirAll(filepath.Dir(file), 0o755)
		os.WriteFile(file, body, 0o644)
		if !strings.Contains(string(page), sum) || !strings.Contains(string(page), `href="`+strings.ReplaceAll(name, "+", "&#43;")+`"`) && !strings.Contains(string(page), name) {
			t.Errorf("the page lacks %s: %s", line, page)
		}
	}
	cmd := exec.Command("sha256sum", "-c")
	cmd.Dir, cmd.Stdin = dir, bytes.NewReader(sums)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("sha256sum: %v\n%s", err, out)
	}
	os.WriteFile(filepath.Join(storage, "k0s", "k0s-v1.32.8+k0s.0-amd64"), []byte("another"), 0o644)
	if _, again, _ := do("GET", c.record.Files+"/sha256sums.txt", nil); !strings.Contains(string(again), sumText([]byte("another"))) {
		t.Errorf("a k0s file that has changed has its old checksum: %s", again)
	}
	if _, own, _ := do("GET", c.url+"/files/sha256sums.txt", nil); !strings.Contains(string(own), sumText([]byte("another"))+"  k0s/") || strings.Count(string(own), "\n") != 3 {
		t.Errorf("/files/sha256sums.txt: %s, want the same as on the other listener", own)
	}
}

// The files of --files are served on both listeners as they are at the time, before
// those in the registry, and nothing outside the directory is.
func TestFilesOfDirectory(t *testing.T) {
	dir, outside := t.TempDir(), filepath.Join(t.TempDir(), "secret")
	write := func(name, text string) {
		t.Helper()
		os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o755)
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("k0rdent-bm/ipa/kernel-1", "own kernel")
	write("ipxe.efi", "ipxe")
	write(".hidden", "hidden")
	write(".new/x", "hidden")
	write("a b", "blank")
	write("k0s/k0s-v1.32.8+k0s.0-amd64", "own k0s")
	os.WriteFile(outside, []byte("secret"), 0o644)
	os.Symlink(outside, filepath.Join(dir, "out"))
	os.Symlink("ipxe.efi", filepath.Join(dir, "ipxe-link.efi"))
	os.Symlink(".", filepath.Join(dir, "loop"))
	syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o644)
	c := startChild(t, t.TempDir(), "--files", dir, "--files-http", "127.0.0.1:0")
	c.putFile("files/k0rdent-bm/ipa", "kernel-1", "k0rdent-bm/ipa/kernel-1", []byte("kernel of the bundle"))
	c.putFile("files/k0rdent-bm", "disk", "k0rdent-bm/disk", []byte("disk"))
	plain := &child{t: t, url: c.record.Files}
	for target, want := range map[string]string{
		"/files/k0rdent-bm/ipa/kernel-1": "own kernel", "/files/k0rdent-bm/disk": "disk", "/files/ipxe.efi": "ipxe", "/files/ipxe-link.efi": "ipxe",
		"/files/sha256sums.txt": sumText([]byte("ipxe")) + "  ipxe-link.efi\n" + sumText([]byte("ipxe")) + "  ipxe.efi\n" +
			sumText([]byte("disk")) + "  k0rdent-bm/disk\n" + sumText([]byte("own kernel")) + "  k0rdent-bm/ipa/kernel-1\n" +
			sumText([]byte("own k0s")) + "  k0s/k0s-v1.32.8+k0s.0-amd64\n",
		"/files/k0s/k0s-v1.32.8+k0s.0-amd64": "own k0s", // what is listed is served
	} {
		for _, on := range []*child{c, plain} {
			if _, body, err := do("GET", on.url+target, nil); err != nil || string(body) != want {
				t.Errorf("%s: %v, %q, want %q", target, err, body, want)
			}
		}
	}
	if resp, body, err := do("GET", plain.url+"/ipxe.efi", nil, "Range", "bytes=-2"); err != nil || resp.StatusCode != http.StatusPartialContent || string(body) != "xe" {
		t.Errorf("range: %v, %v, %q", err, resp, body)
	}
	for _, target := range []string{"/.hidden", "/.new/x", "/a%20b", "/pipe", "/ipxe.efi/x", "/k0rdent-bm", "/loop", "/../" + filepath.Base(outside)} {
		plain.want(http.StatusNotFound, "GET", target, nil)
		c.want(http.StatusNotFound, "GET", "/files"+target, nil)
	}
	if resp, body, _ := do("GET", plain.url+"/out", nil); resp.StatusCode == http.StatusOK || bytes.Contains(body, []byte("secret")) {
		t.Errorf("a link out of the directory: %v, %s", resp, body)
	}
	write("later", "later")
	if _, body, _ := do("GET", plain.url+"/later", nil); string(body) != "later" {
		t.Errorf("a new file: %q", body)
	}
}

// A list names the same one of the listener of --files-http, by an address that
// its client can reach.
func TestFilesAlternate(t *testing.T) {
	c := startChild(t, t.TempDir(), "--files-http", ":0")
	_, port, _ := net.SplitHostPort(strings.TrimPrefix(c.record.Files, "http://"))
	for _, path := range []string{"/k0s/", "/files/"} {
		resp, _, err := do("GET", c.url+path, nil)
		if want := "<http://127.0.0.1:" + port + path + `>; rel="alternate"`; err != nil || resp.Header.Get("Link") != want {
			t.Errorf("%s: %v, Link %q, want %q", path, err, resp.Header.Get("Link"), want)
		}
	}
	for _, tt := range []struct{ listens, asked, want string }{
		{"0.0.0.0:8080", "10.0.0.5:5000", "http://10.0.0.5:8080/k0s/"},
		{"[::]:8080", "[fd00::5]:5000", "http://[fd00::5]:8080/k0s/"},
		{"0.0.0.0:80", "registry.site", "http://registry.site:80/k0s/"},
		{"10.0.0.7:8080", "registry.site", "http://10.0.0.7:8080/k0s/"},
		{"127.0.0.1:8080", "registry.site", ""},
		{"127.0.0.1:8080", "localhost:5000", "http://127.0.0.1:8080/k0s/"},
		{"0.0.0.0:8080", "", ""},
		{"", "registry.site", ""},
	} {
		if got := plainAddress(tt.listens).alternate(&http.Request{Host: tt.asked}, "/k0s/"); got != tt.want {
			t.Errorf("%s, asked at %s: %q, want %q", tt.listens, tt.asked, got, tt.want)
		}
	}
	none := startChild(t, t.TempDir())
	if resp, _, err := do("GET", none.url+"/k0s/", nil); err != nil || resp.Header.Get("Link") != "" {
		t.Errorf("without --files-http: %v, %v", err, resp)
	}
}

// A port in use is reported, and a bad address or directory is misuse.
func TestFilesFlags(t *testing.T) {
	c := startChild(t, t.TempDir())
	at := strings.TrimPrefix(c.url, "http://")
	for value, want := range map[string]int{
		"--files-http=" + at: 75, "--files-http=8080": 2, "--files-http=x:y": 2, "--files-http=:99999": 2, "--files-http=127.0.0.1:": 2,
		"--files=" + filepath.Join(t.TempDir(), "none"): 2, "--files=" + os.Args[0]: 2,
	} {
		cmd := exec.Command(os.Args[0], "--host", "127.0.0.1", "--port", "0", "--storage", t.TempDir(), value)
		cmd.Env = append(os.Environ(), asChild+"=1")
		cmd.Stdout = io.Discard
		if cmd.Run(); cmd.ProcessState.ExitCode() != want {
			t.Errorf("%s: %d, want %d", value, cmd.ProcessState.ExitCode(), want)
		}
	}
}
