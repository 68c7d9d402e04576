package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/k0s"
	"k0rdent-airgap/lib/step"
	"k0rdent-airgap/tests/clitest"
	"k0rdent-airgap/tests/machine"
	"k0rdent-airgap/tests/sampleregistry"
)

// testHost returns a host below a temporary directory, with the stand-in for k0s,
// without a service, and without problems that the preflight would find.
func testHost(t *testing.T) host {
	t.Helper()
	root, err := os.MkdirTemp("", "k0s") // shorter than t.TempDir: a socket's path has 107 bytes
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(root) })
	h := hostBelow(root)
	h.leaveGrace = 0
	h.proc, h.sys, h.measure = filepath.Join(h.root, "proc"), filepath.Join(h.root, "sys"), time.Millisecond
	fit(t, h)
	script, err := os.ReadFile("../../tests/k0s/k0s")
	if err != nil {
		t.Fatal(err)
	}
	clitest.Write(t, h.k0s, string(script))
	if err := os.Chmod(h.k0s, 0o755); err != nil {
		t.Fatal(err)
	}
	clitest.Write(t, h.proc+"/filesystems", "nodev\tproc\n\text4\nnodev\toverlay\n")
	clitest.Write(t, h.proc+"/meminfo", "MemTotal:       16384000 kB\nMemFree:        1 kB\n")
	clitest.Write(t, h.proc+"/net/tcp", "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n")
	clitest.Write(t, h.proc+"/net/route", routeHead+gateway)
	clitest.Write(t, h.root+resolvConf, "nameserver 10.77.0.1\n")
	for _, dir := range []string{filepath.Dir(h.lock), h.root + "/etc/systemd/system"} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("K0S_ROOT", h.root)
	t.Setenv("K0S_LOG", filepath.Join(h.root, "k0s.log"))
	return h
}

// fit makes a host pass the preflight.
func fit(t *testing.T, h host) {
	t.Helper()
	for path, text := range map[string]string{
		"fs/inotify/max_user_instances": "8192\n", "fs/inotify/max_user_watches": "524288\n", "fs/nr_open": "1048576\n", "fs/file-max": "1048576\n",
		"kernel/osrelease": "6.1.0\n",
	} {
		clitest.Write(t, h.proc+"/sys/"+path, text)
	}
	for path, text := range map[string]string{"self/mountinfo": "27 1 254:0 / / rw - ext4 /dev/vda rw\n", "self/environ": "", "1/environ": "", "1/comm": "systemd\n"} {
		clitest.Write(t, h.proc+"/"+path, text)
	}
	for _, module := range []string{"nf_tables", "nf_conntrack", "xt_comment", "xt_MASQUERADE", "br_netfilter", "ip_set", "vxlan", "overlay"} {
		clitest.Write(t, h.sys+"/module/"+module+"/refcnt", "0\n")
	}
	clitest.Write(t, h.root+"/etc/hosts", "127.0.0.1 localhost\n")
	if err := errors.Join(os.MkdirAll(h.sys+"/fs", 0o755), os.Symlink("/sys/fs/cgroup", h.sys+"/fs/cgroup")); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// k0sCalls returns the arguments of the k0s commands that changed something.
func k0sCalls(t *testing.T, h host) []string {
	t.Helper()
	var calls []string
	text, _ := os.ReadFile(filepath.Join(h.root, "k0s.log"))
	for line := range strings.Lines(string(text)) {
		switch verb, _, _ := strings.Cut(strings.TrimSpace(line), " "); verb {
		case "install", "start", "stop", "reset", "token", "etcd":
			if !strings.HasPrefix(line, "etcd member-list") {
				calls = append(calls, strings.TrimSpace(line))
			}
		}
	}
	return calls
}

// testSite is a registry with TLS that holds the sample release.
type testSite struct{ *sampleregistry.Registry }

// args returns the flags of every run against the site, and more.
func (s testSite) args(more ...string) []string {
	return append([]string{"--registry", s.At, "--ca", s.CA, "--ignore", "loopback"}, more...)
}

// shared is a complete site, for tests that only read.
var shared = sampleregistry.Shared{Content: content}

var content = sampleregistry.Content{Repositories: "k0sproject/", Made: absent}

func TestMain(m *testing.M) {
	code := machine.AsRoot(m)
	shared.Close()
	os.Exit(code)
}

// aSite returns the complete site.
func aSite(t *testing.T) testSite {
	t.Helper()
	return testSite{shared.Get(t)}
}

// newSite serves a registry with the images of k0s v1.32.8, except those in
// without.
func newSite(t *testing.T, without ...string) testSite {
	t.Helper()
	c := content
	c.Without = without
	r := sampleregistry.Serve(t, t.TempDir(), c)
	t.Cleanup(r.Close)
	return testSite{r}
}

// absent maps images that k0s v1.32.8 requires and the sample lacks to images of the
// sample from which they are made.
var absent = map[string]string{
	"k0sproject/calico-cni:v3.29.4-0":                  "k0sproject/coredns",
	"k0sproject/calico-kube-controllers:v3.29.4-0":     "k0sproject/coredns",
	"k0sproject/calico-node:v3.29.4-0":                 "k0sproject/coredns",
	"k0sproject/apiserver-network-proxy-agent:v0.31.0": "k0sproject/coredns",
	"metrics-server/metrics-server:v0.7.2":             "k0sproject/coredns",
	"k0sproject/envoy-distroless:v1.31.10":             "k0sproject/coredns",
	"pause:3.9":                                        "k0sproject/coredns",
}

// mirrored writes the files that k0s-mirror-config writes for a site.
func mirrored(t *testing.T, h host, s testSite) {
	t.Helper()
	m, err := k0s.ParseMirror(s.At)
	if err != nil {
		t.Fatal(err)
	}
	m.CA = []byte(read(t, s.CA))
	v, _ := k0s.ParseVersion("v1.32.8+k0s.0")
	files, err := k0s.MirrorFiles(v, []k0s.Mirror{m}, k0s.DefaultHosts())
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		clitest.Write(t, h.root+f.Path, string(f.Content))
	}
}

// try runs the tool on a host with records on stdin.
func try(t *testing.T, h host, stdin string, args ...string) clitest.Result {
	t.Helper()
	return tryCtx(t.Context(), h, stdin, args...)
}

func tryCtx(ctx context.Context, h host, stdin string, args ...string) clitest.Result {
	return tryOn(ctx, h, stdin, func(string) error { return nil }, args...)
}

// tryOn runs the tool, and calls after with the name of each step once its record
// is written. An error of after is an error of stdout.
func tryOn(ctx context.Context, h host, stdin string, after func(step string) error, args ...string) clitest.Result {
	var stderr bytes.Buffer
	stdout := &watched{after: after}
	err := runOn(ctx, h, args, strings.NewReader(stdin), stdout, &stderr)
	return clitest.Result{Err: err, Stdout: stdout.String(), Stderr: stderr.String()}
}

type watched struct {
	bytes.Buffer
	after func(step string) error
}

func (w *watched) Write(line []byte) (int, error) {
	w.Buffer.Write(line)
	var s struct{ Kind, Name string }
	if json.Unmarshal(line, &s) == nil && s.Kind == "step" {
		return len(line), w.after(s.Name)
	}
	return len(line), nil
}

// tree returns the files below a directory with their digests, to detect changes.
func tree(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || filepath.Base(path) == "k0s.log" {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		fmt.Fprintf(&b, "%v %s", info.Mode(), path)
		if info.Mode().IsRegular() {
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			fmt.Fprintf(&b, " %s", digestOf(text))
		}
		b.WriteByte('\n')
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// testUp returns a run for testing its steps.
func testUp(t *testing.T, h host, c *settings) *up {
	t.Helper()
	s, err := readState(h.state)
	if err != nil {
		t.Fatal(err)
	}
	u := &up{cfg: c, host: h, state: s, stderr: io.Discard, stdin: strings.NewReader("")}
	u.Runner = step.NewRunner(tool, cli.Common{Quiet: true}, false, io.Discard, io.Discard)
	u.k0s = program{Binary: k0s.Binary{Path: h.k0s}, host: h}
	if err := u.k0s.findService(); err != nil {
		t.Fatal(err)
	}
	return u
}
