package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
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
	k0sDir(t, storage, k0s)
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
	k0sDir(t, storage, "k0s-v1.32.8+k0s.0-amd64")
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
	if _, own, _ := do("GET", c.url+"/files/sha256sums.txt", nil); strings.Count(string(own), "\n") != 2 {
		t.Errorf("/files/sha256sums.txt: %s", own)
	}
}

// A port in use is reported, and a bad address is misuse.
func TestFilesHTTP(t *testing.T) {
	c := startChild(t, t.TempDir())
	at := strings.TrimPrefix(c.url, "http://")
	for value, want := range map[string]int{at: 75, "8080": 2, "x:y": 2, ":99999": 2, "127.0.0.1:": 2} {
		cmd := exec.Command(os.Args[0], "--host", "127.0.0.1", "--port", "0", "--storage", t.TempDir(), "--files-http", value)
		cmd.Env = append(os.Environ(), asChild+"=1")
		cmd.Stdout = io.Discard
		if cmd.Run(); cmd.ProcessState.ExitCode() != want {
			t.Errorf("--files-http %s: %d, want %d", value, cmd.ProcessState.ExitCode(), want)
		}
	}
}
