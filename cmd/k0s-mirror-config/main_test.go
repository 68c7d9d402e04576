package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/k0s"
	"k0rdent-airgap/lib/record"
	"k0rdent-airgap/tests/clitest"
)

const (
	old     = "v1.35.7+k0s.0" // containerd 1
	current = "v1.36.3+k0s.2" // containerd 2
)

func TestDocs(t *testing.T) {
	var cfg config
	clitest.Docs(t, cfg.flags(), usage, "../..")
}

// outcome is the result of a run.
type outcome struct {
	files  map[string]record.File // by path below the root
	images map[string]record.Image
	passed []string // kinds of other records
	sum    record.Summary
	out    string
	stderr string
	err    error
}

func (o outcome) code() int { return cli.Code(o.err) }

// start runs the program below a root.
func start(t *testing.T, root, stdin string, args ...string) outcome {
	t.Helper()
	var stdout, stderr bytes.Buffer
	o := outcome{files: make(map[string]record.File), images: make(map[string]record.Image)}
	o.err = run(t.Context(), append([]string{"--root", root}, args...), strings.NewReader(stdin), &stdout, &stderr)
	cli.Report(&stderr, "k0s-mirror-config", o.err)
	o.out, o.stderr = stdout.String(), stderr.String()
	for line, err := range record.Read(&stdout) {
		if err != nil {
			t.Fatal(err)
		}
		switch line.Kind {
		case "file":
			var f record.File
			if err := line.Decode(&f); err != nil {
				t.Fatal(err)
			}
			o.files[strings.TrimPrefix(f.Path, root)] = f
		case "image":
			var i record.Image
			if err := line.Decode(&i); err != nil {
				t.Fatal(err)
			}
			o.images[i.Reference] = i
		case "summary":
			if err := line.Decode(&o.sum); err != nil {
				t.Fatal(err)
			}
		default:
			o.passed = append(o.passed, line.Kind)
		}
	}
	return o
}

// ok is start for a run that must succeed.
func ok(t *testing.T, root, stdin string, args ...string) outcome {
	t.Helper()
	o := start(t, root, stdin, args...)
	if o.err != nil {
		t.Fatalf("%v: %v\n%s", args, o.err, o.stderr)
	}
	return o
}

// counts returns how many files had each status.
func (o outcome) counts() string { return fmt.Sprint(o.sum.Counts) }

// newRoot returns a host's tree with a k0s.
func newRoot(t *testing.T, version string) string {
	t.Helper()
	root, err := os.MkdirTemp("", "k0s") // shorter than t.TempDir: a socket's path has 107 bytes
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(root) })
	writeFile(t, root+k0s.BinaryPath, 0o755, `#!/bin/sh
case "$*" in
version) echo `+version+` ;;
"airgap list-images"*) printf 'quay.io/k0sproject/coredns:1.12.2\nregistry.site.example:8443/x/pause:3.9\n' ;;
*) exit 1 ;;
esac
`)
	return root
}

func writeFile(t *testing.T, path string, mode fs.FileMode, content string) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(content), mode)); err != nil {
		t.Fatal(err)
	}
}

// snapshot returns every file below a directory with its inode, mode, time and content: equal
// snapshots mean that nothing was changed.
func snapshot(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := make(map[string]string)
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		var content []byte
		if info.Mode().IsRegular() {
			content, err = os.ReadFile(path)
		}
		all[path] = fmt.Sprintf("%v %v %d %x", info.Mode(), info.ModTime(), info.Sys().(*syscall.Stat_t).Ino, sha256.Sum256(content))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// untouched fails if anything differs from a snapshot.
func untouched(t *testing.T, dir string, before map[string]string) {
	t.Helper()
	after := snapshot(t, dir)
	for path := range after {
		if before[path] != after[path] {
			t.Errorf("%s was %q and is %q", path, before[path], after[path])
		}
	}
	for path := range before {
		if after[path] == "" {
			t.Errorf("%s is gone", path)
		}
	}
}

// testCA writes a certificate authority and returns its file.
func testCA(t *testing.T) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "site"}, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "ca.crt")
	writeFile(t, path, 0o644, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	return path
}

// checkTree checks what must be true of a host at any instant: every registry's directory has a
// hosts.toml, which containerd can decode and which leads only to the mirrors, and every
// certificate that is named exists.
func checkTree(t *testing.T, root string) (hosts int) {
	t.Helper()
	dirs, err := os.ReadDir(root + k0s.CertsDir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	for _, d := range dirs {
		if strings.HasPrefix(d.Name(), ".") {
			continue
		}
		dir := filepath.Join(root, k0s.CertsDir, d.Name())
		content, err := os.ReadFile(filepath.Join(dir, k0s.HostsName))
		if err != nil {
			t.Errorf("a directory that sends pulls to the registry itself: %v", err)
			continue
		}
		h, err := k0s.ReadHosts(content)
		if err != nil || h.Server.URL == "" {
			t.Errorf("%s: %v, server %q, want it to lead to the mirror", dir, err, h.Server.URL)
		}
		for _, e := range append(h.Hosts, h.Server) {
			for _, ca := range e.CA {
				if text, err := os.ReadFile(filepath.Join(dir, ca)); err != nil || !bytes.Contains(text, []byte("END CERTIFICATE")) {
					t.Errorf("%s names %s: %v, %d bytes", dir, ca, err, len(text))
				}
			}
		}
		hosts++
	}
	return hosts
}

func TestWriteAndAgain(t *testing.T) {
	for _, version := range []string{old, current} {
		root, ca := newRoot(t, version), testCA(t)
		args := []string{"--mirror", "https://10.0.0.5:5000/k0rdent-enterprise", "--ca", ca}
		plan := ok(t, root, "", append(args, "--plan")...)
		if _, err := os.Stat(root + "/etc"); err == nil {
			t.Error("a plan has written something")
		}
		o := ok(t, root, "", args...)
		if plan.sum.Counts["planned"] != o.sum.Counts["written"] || len(o.sum.Counts) != 1 || len(plan.sum.Counts) != 1 {
			t.Errorf("planned %s, done %s", plan.counts(), o.counts())
		}
		// From the list of known registries, k0s's images, and the mirror's name.
		for _, host := range []string{"_default", "docker.io", "quay.io", "registry.k8s.io", "ghcr.io", "gcr.io", "registry.mirantis.com", "registry.site.example:8443", "10.0.0.5:5000"} {
			for _, name := range []string{"hosts.toml", "ca.crt"} {
				path := k0s.CertsDir + "/" + host + "/" + name
				if f := o.files[path]; f.Status != record.StatusWritten || f.Mode != "0644" || f.Size == 0 || !strings.HasPrefix(f.Digest, "sha256:") {
					t.Errorf("%s: %+v, want it written", path, f)
				}
			}
		}
		want := map[string]string{old: "io.containerd.grpc.v1.cri", current: "io.containerd.cri.v1.images"}[version]
		if text, err := os.ReadFile(root + k0s.DropInPath); err != nil || !strings.Contains(string(text), want) || o.files[k0s.DropInPath].Status != record.StatusWritten {
			t.Errorf("%s: drop-in %s, %v, want %s in it", version, text, err, want)
		}
		checkTree(t, root)
		before := snapshot(t, root)
		again := ok(t, root, "", args...)
		if n := again.sum.Counts["unchanged"]; n != o.sum.Counts["written"] || len(again.sum.Counts) != 1 {
			t.Errorf("second run: %s, want all unchanged", again.counts())
		}
		untouched(t, root, before)
		if o.stderr != "" || again.stderr != "" {
			t.Errorf("stderr %q, then %q, want nothing", o.stderr, again.stderr)
		}
	}
}

// TestChanges: what differs is written, what is no longer wanted is removed, and nothing else
// is changed.
func TestChanges(t *testing.T) {
	root, ca := newRoot(t, old), testCA(t)
	images := filepath.Join(t.TempDir(), "images")
	writeFile(t, images, 0o644, "# extra\nnvcr.io/x/y:1\n")
	ok(t, root, "", "--mirror", "https://10.0.0.5:5000", "--ca", ca, "--images", images)
	if _, err := os.Stat(root + k0s.CertsDir + "/nvcr.io/hosts.toml"); err != nil {
		t.Fatal(err)
	}

	o := ok(t, root, "", "--mirror", "https://10.0.0.5:5000", "--ca", ca, "--k0s-version", current)
	if f := o.files[k0s.DropInPath]; f.Status != record.StatusWritten {
		t.Errorf("new k0s: drop-in %s, want it written", f.Status)
	}
	if n := o.sum.Counts["written"]; n != 1 {
		t.Errorf("new k0s: %s, want the drop-in alone written", o.counts())
	}
	if f := o.files[k0s.CertsDir+"/nvcr.io/hosts.toml"]; f.Status != record.StatusRemoved {
		t.Errorf("a registry that is no longer named: %+v, want it removed", f)
	}

	o = ok(t, root, "", "--mirror", "http://127.0.0.1:30020,https://10.0.0.6:5000", "--k0s-version", current)
	if f := o.files[k0s.CertsDir+"/quay.io/ca.crt"]; f.Status != record.StatusRemoved {
		t.Errorf("another mirror without a CA: %+v, want the old certificate removed", f)
	}
	if f := o.files[k0s.CertsDir+"/10.0.0.5:5000/hosts.toml"]; f.Status != record.StatusRemoved {
		t.Errorf("the old mirror's own directory: %+v, want it removed", f)
	}
	text, err := os.ReadFile(root + k0s.CertsDir + "/quay.io/hosts.toml")
	if err != nil || !strings.Contains(string(text), "server = \"https://10.0.0.6:5000\"\n\n[host.\"http://127.0.0.1:30020\"]") {
		t.Errorf("hosts.toml %s, %v, want the last mirror as the server and the first as a host", text, err)
	}
	checkTree(t, root)
}

func TestRemoveKeepsFilesOfOthers(t *testing.T) {
	root := newRoot(t, current)
	writeFile(t, root+k0s.DropInDir+"/50-nvidia.toml", 0o644, "version = 3\n[plugins.'io.containerd.cri.v1.runtime']\nx = 1\n")
	writeFile(t, root+k0s.CertsDir+"/registry.other:5000/hosts.toml", 0o644, "server = \"http://registry.other:5000\"\n[host]\n")
	before := ok(t, root, "", "--remove")
	if len(before.files) > 0 {
		t.Errorf("nothing of ours there: %+v", before.files)
	}
	o := ok(t, root, "", "--mirror", "https://10.0.0.5:5000", "--ca", testCA(t))
	writeFile(t, root+k0s.CertsDir+"/quay.io/note", 0o644, "mine")
	planned := ok(t, root, "", "--remove", "--plan")
	if planned.sum.Counts["planned"] != o.sum.Counts["written"] {
		t.Errorf("planned %s, written were %s", planned.counts(), o.counts())
	}
	if n := checkTree(t, root); n < 10 {
		t.Errorf("%d directories after a plan, want all", n)
	}
	gone := ok(t, root, "", "--remove")
	if gone.sum.Counts["removed"] != o.sum.Counts["written"] {
		t.Errorf("removed %s, written were %s", gone.counts(), o.counts())
	}
	var left []string
	filepath.WalkDir(root+"/etc", func(path string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			left = append(left, strings.TrimPrefix(path, root+"/etc/k0s/"))
		}
		return err
	})
	if got, want := strings.Join(left, " "), "certs.d/quay.io/note certs.d/registry.other:5000/hosts.toml containerd.d/50-nvidia.toml"; got != want {
		t.Errorf("left: %s, want %s", got, want)
	}
}

func TestMisuse(t *testing.T) {
	root := newRoot(t, current)
	secret := filepath.Join(t.TempDir(), "secret")
	writeFile(t, secret, 0o600, "x")
	tests := []struct {
		name string
		args []string
		want string
	}{
		{"no mirror", nil, "no mirror to pull from"},
		{"not a mirror", []string{"--mirror", "oci://x"}, "must be https://"},
		{"API path", []string{"--mirror", "https://x/v2/y"}, "omit the path of the registry's API, /v2"},
		{"not a version", []string{"--k0s-version", "latest"}, "must be a version such as"},
		{"not a format", []string{"--format", "yaml"}, "must be auto, json, table or a template"},
		{"field of another record", []string{"--format", "{{.counts}}"}, "unknown field counts; file records have path mode"},
		{"check and plan", []string{"--check", "--plan"}, "--check and --plan are mutually exclusive"},
		{"remove and mirror", []string{"--remove", "--mirror", "x"}, "mutually exclusive"},
		{"restart elsewhere", []string{"--restart"}, "mutually exclusive"},
		{"user without password", []string{"--username", "u"}, "--username requires --password-file"},
		{"no certificate", []string{"--mirror", "https://x", "--ca", "/etc/hostname"}, "/etc/hostname: no certificate"},
		{"password in the clear", []string{"--mirror", "http://10.0.0.5:5000", "--username", "u", "--password-file", secret}, "not sent in the clear"},
		{"missing CA", []string{"--mirror", "x", "--ca", "/nowhere"}, "--ca: open /nowhere"},
		{"missing list", []string{"--images", "/nowhere"}, "--images: open /nowhere"},
		{"operand", []string{"bundle.tgz"}, "unexpected argument"},
		{"nothing to check", []string{"--check", "--k0s", "/nowhere"}, "no images to check"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := start(t, root, "", tt.args...)
			if o.code() != cli.CodeMisuse || !strings.Contains(o.err.Error(), tt.want) {
				t.Errorf("code %d, %v, want 2 and %q", o.code(), o.err, tt.want)
			}
			if _, err := os.Stat(root + "/etc"); err == nil {
				t.Error("something was written")
			}
		})
	}
}

// TestFails: runs that fail without being misuse write nothing either.
func TestFails(t *testing.T) {
	tests := []struct {
		name, version string
		args          []string
		want          string
	}{
		{"k0s too old", "v1.27.4+k0s.0", []string{"--mirror", "https://x"}, "requires v1.27.5 or later"},
		{"another program", "hello", []string{"--mirror", "https://x"}, "is not a k0s version"},
		{"no k0s", current, []string{"--mirror", "https://x", "--k0s", "/nowhere"}, "unknown version of k0s: stat /nowhere"},
		{"IPv6 first", old, []string{"--mirror", "https://[::1]:5000,https://x"}, "only for the last mirror"},
		{"bad list", current, []string{"--mirror", "https://x", "--images", "/etc/passwd"}, "/etc/passwd: line 1: image"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			root := newRoot(t, tt.version)
			o := start(t, root, "", tt.args...)
			if o.code() != cli.CodeFailed || !strings.Contains(o.err.Error(), tt.want) {
				t.Errorf("code %d, %v, want 1 and %q", o.code(), o.err, tt.want)
			}
			if _, err := os.Stat(root + "/etc"); err == nil {
				t.Error("something was written")
			}
		})
	}
}

func TestSecretsStayPrivate(t *testing.T) {
	root := newRoot(t, current)
	password := filepath.Join(t.TempDir(), "password")
	writeFile(t, password, 0o600, "s3cr3t-word\n")
	o := ok(t, root, "", "--mirror", "http://127.0.0.1:30020,https://10.0.0.5:5000", "--username", "robot", "--password-file", password, "--verbose")
	header := k0s.BasicAuth("robot", "s3cr3t-word")
	for _, text := range []string{o.out, o.stderr} {
		if strings.Contains(text, "s3cr3t") || strings.Contains(text, header) {
			t.Errorf("the password is printed: %s", text)
		}
	}
	for path, f := range o.files {
		text, err := os.ReadFile(root + path)
		if err != nil {
			t.Fatal(err)
		}
		if secret := strings.Contains(string(text), header); secret != (f.Mode == "0600") {
			t.Errorf("%s: mode %s, password in it %v", path, f.Mode, secret)
		}
		h, err := k0s.ReadHosts(text)
		if err != nil {
			continue
		}
		for _, e := range append(h.Hosts, h.Server) {
			if strings.HasPrefix(e.URL, "http:") && e.Authorization != "" {
				t.Errorf("%s sends the password in the clear to %s", path, e.URL)
			}
		}
	}
}

// TestLock: two runs exclude each other.
func TestLock(t *testing.T) {
	root := newRoot(t, current)
	first := &tool{cfg: &config{root: root}}
	unlock, err := first.lock()
	if err != nil {
		t.Fatal(err)
	}
	o := start(t, root, "", "--mirror", "https://x")
	if o.code() != cli.CodeTryAgain || !strings.Contains(o.err.Error(), "another run is in progress") {
		t.Errorf("code %d, %v, want 75", o.code(), o.err)
	}
	ok(t, root, "", "--mirror", "https://x", "--plan")
	unlock()
	ok(t, root, "", "--mirror", "https://x")
}

// TestInterrupt: an interrupted run says so, and what it has written is correct.
func TestInterrupt(t *testing.T) {
	root := newRoot(t, current)
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cli.ErrInterrupted)
	var stdout, stderr bytes.Buffer
	err := run(ctx, []string{"--root", root, "--mirror", "https://x", "--k0s-version", current}, strings.NewReader(""), &stdout, &stderr)
	if cli.Code(err) != cli.CodeInterrupted {
		t.Errorf("error %v, want the interrupt", err)
	}
	checkTree(t, root)
}
