package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/step"
	"k0rdent-airgap/tests/clitest"
	"k0rdent-airgap/tests/machine"
	"k0rdent-airgap/tests/sampleregistry"
)

// testHost returns a host below a temporary directory, without a cluster.
func testHost(t *testing.T) host {
	t.Helper()
	root := t.TempDir()
	h := hostBelow(root)
	h.proc = filepath.Join(root, "proc")
	clitest.Write(t, h.proc+"/meminfo", "MemTotal:       16384000 kB\nMemFree:        1 kB\n")
	clitest.Write(t, h.proc+"/cpuinfo", strings.Repeat("processor\t: 0\n", 4))
	return h
}

// testSite is a registry with TLS that holds the sample release.
type testSite struct{ *sampleregistry.Registry }

// args returns the flags of every run against the site, and more.
func (s testSite) args(more ...string) []string {
	return append([]string{"--registry", s.At, "--ca", s.CA, "--ignore", "disk,loopback"}, more...)
}

// shared is a complete site, for tests that only read.
var shared = sampleregistry.Shared{Content: content}

var content = sampleregistry.Content{Made: absent}

func TestMain(m *testing.M) {
	code := machine.Run(m)
	shared.Close()
	os.Exit(code)
}

// aSite returns the complete site.
func aSite(t *testing.T) testSite {
	t.Helper()
	return testSite{shared.Get(t)}
}

// newSite serves a registry with the sample and the images of Sveltos that the
// sample lacks, except those in without.
func newSite(t *testing.T, without ...string) testSite {
	t.Helper()
	c := content
	c.Without = without
	r := sampleregistry.Serve(t, t.TempDir(), c)
	t.Cleanup(r.Close)
	return testSite{r}
}

// absent maps images that Sveltos requires and the sample lacks to images of the
// sample from which they are made.
var absent = map[string]string{
	"projectsveltos/sveltos-agent:v1":   "projectsveltos/drift-detection-manager",
	"projectsveltos/sveltos-applier:v1": "projectsveltos/drift-detection-manager",
}

// try runs the tool on a host with records on stdin.
func try(t *testing.T, h host, stdin string, args ...string) clitest.Result {
	t.Helper()
	return tryCtx(t.Context(), h, stdin, args...)
}

func tryCtx(ctx context.Context, h host, stdin string, args ...string) clitest.Result {
	var stdout, stderr bytes.Buffer
	err := runOn(ctx, h, args, strings.NewReader(stdin), &stdout, &stderr)
	return clitest.Result{Err: err, Stdout: stdout.String(), Stderr: stderr.String()}
}

// testInstaller returns a run for testing its steps.
func testInstaller(t *testing.T, h host, c *settings) *installer {
	t.Helper()
	i := &installer{cfg: c, host: h, stderr: io.Discard, stdin: strings.NewReader("")}
	i.Runner = step.NewRunner(tool, cli.Common{Quiet: true}, false, io.Discard, io.Discard)
	return i
}
