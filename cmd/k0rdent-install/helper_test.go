package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/record"
	"k0rdent-airgap/tests/machine"
	"k0rdent-airgap/tests/sampleregistry"
)

// testHost is a host below a directory on which there is no cluster.
func testHost(t *testing.T) host {
	t.Helper()
	root := t.TempDir()
	h := hostBelow(root)
	h.proc = filepath.Join(root, "proc")
	write(t, h.proc+"/meminfo", "MemTotal:       16384000 kB\nMemFree:        1 kB\n")
	write(t, h.proc+"/cpuinfo", strings.Repeat("processor\t: 0\n", 4))
	return h
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// testSite is a real registry behind TLS with the sample's release in it.
type testSite struct {
	at, ca string
}

// args are the flags that every run against the site has.
func (s testSite) args(more ...string) []string {
	return append([]string{"--registry", s.at, "--ca", s.ca, "--ignore", "disk,loopback"}, more...)
}

// shared is a site with everything, for tests that only read.
var shared struct {
	once sync.Once
	site testSite
	end  func()
}

func TestMain(m *testing.M) {
	code := machine.Run(m)
	if shared.end != nil {
		shared.end()
	}
	os.Exit(code)
}

// aSite gives a site with all that is wanted.
func aSite(t *testing.T) testSite {
	t.Helper()
	shared.once.Do(func() {
		dir, err := os.MkdirTemp("", "k0rdent-install-site")
		if err != nil {
			t.Fatal(err)
		}
		var end func()
		shared.site, end = serve(t, dir)
		shared.end = func() { end(); os.RemoveAll(dir) }
	})
	return shared.site
}

// newSite serves a registry with the sample, and with the images of Sveltos that
// the sample leaves out; but not those that are named.
func newSite(t *testing.T, without ...string) testSite {
	t.Helper()
	s, end := serve(t, t.TempDir(), without...)
	t.Cleanup(end)
	return s
}

func serve(t *testing.T, dir string, without ...string) (testSite, func()) {
	t.Helper()
	r := sampleregistry.Serve(t, dir, sampleregistry.Content{Made: absent, Without: without})
	return testSite{r.At, r.CA}, r.Close
}

// absent are images that Sveltos wants and the sample does not have, each made
// from one that it has.
var absent = map[string]string{
	"projectsveltos/sveltos-agent:v1":   "projectsveltos/drift-detection-manager",
	"projectsveltos/sveltos-applier:v1": "projectsveltos/drift-detection-manager",
}

// result is what a run has written.
type result struct {
	err            error
	stdout, stderr string
}

// try runs the tool on a host. Its standard input is empty unless given.
func try(t *testing.T, h host, stdin string, args ...string) result {
	t.Helper()
	return tryCtx(t.Context(), h, stdin, args...)
}

func tryCtx(ctx context.Context, h host, stdin string, args ...string) result {
	var stdout, stderr bytes.Buffer
	err := runOn(ctx, h, args, strings.NewReader(stdin), &stdout, &stderr)
	return result{err, stdout.String(), stderr.String()}
}

// steps gives "name status" of each step.
func (r result) steps() string {
	var all []string
	for _, s := range records[record.Step](r, "step") {
		all = append(all, s.Name+" "+s.Status)
	}
	return strings.Join(all, ", ")
}

// step gives the record of one step.
func (r result) step(name string) record.Step {
	for _, s := range records[record.Step](r, "step") {
		if s.Name == name {
			return s
		}
	}
	return record.Step{}
}

// records gives all records of a kind.
func records[T any](r result, kind string) []T {
	var all []T
	for line, err := range record.Read(strings.NewReader(r.stdout)) {
		if err != nil || line.Kind != kind {
			continue
		}
		var v T
		if json.Unmarshal(line.Raw, &v) == nil {
			all = append(all, v)
		}
	}
	return all
}

// testInstaller returns what a step works with.
func testInstaller(t *testing.T, h host, c *settings) *installer {
	t.Helper()
	i := &installer{cfg: c, host: h, stderr: io.Discard, stdin: strings.NewReader("")}
	i.Out, i.Progress, i.Log = record.NewWriter(io.Discard, nil), cli.NewProgress(tool, io.Discard, true), cli.Logger(io.Discard, false)
	return i
}
