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
	"k0rdent-airgap/lib/cli/clitest"
	"k0rdent-airgap/lib/step"
	"k0rdent-airgap/tests/machine"
	"k0rdent-airgap/tests/sampleregistry"
)

// testHost is a host below a directory on which there is no cluster.
func testHost(t *testing.T) host {
	t.Helper()
	root := t.TempDir()
	h := hostBelow(root)
	h.proc = filepath.Join(root, "proc")
	clitest.Write(t, h.proc+"/meminfo", "MemTotal:       16384000 kB\nMemFree:        1 kB\n")
	clitest.Write(t, h.proc+"/cpuinfo", strings.Repeat("processor\t: 0\n", 4))
	return h
}

// testSite is a real registry behind TLS with the sample's release in it.
type testSite struct{ *sampleregistry.Registry }

// args are the flags that every run against the site has.
func (s testSite) args(more ...string) []string {
	return append([]string{"--registry", s.At, "--ca", s.CA, "--ignore", "disk,loopback"}, more...)
}

// shared is a site with everything, for tests that only read.
var shared = sampleregistry.Shared{Content: content}

var content = sampleregistry.Content{Made: absent}

func TestMain(m *testing.M) {
	code := machine.Run(m)
	shared.Close()
	os.Exit(code)
}

// aSite returns a site with all that is needed.
func aSite(t *testing.T) testSite {
	t.Helper()
	return testSite{shared.Get(t)}
}

// newSite serves a registry with the sample, and with the images of Sveltos that the sample leaves out, but not those that
// are named.
func newSite(t *testing.T, without ...string) testSite {
	t.Helper()
	c := content
	c.Without = without
	r := sampleregistry.Serve(t, t.TempDir(), c)
	t.Cleanup(r.Close)
	return testSite{r}
}

// absent are images that Sveltos wants and the sample does not have, each made
// from one that it has.
var absent = map[string]string{
	"projectsveltos/sveltos-agent:v1":   "projectsveltos/drift-detection-manager",
	"projectsveltos/sveltos-applier:v1": "projectsveltos/drift-detection-manager",
}

// try runs the tool on a host. Its standard input is empty unless given.
func try(t *testing.T, h host, stdin string, args ...string) clitest.Result {
	t.Helper()
	return tryCtx(t.Context(), h, stdin, args...)
}

func tryCtx(ctx context.Context, h host, stdin string, args ...string) clitest.Result {
	var stdout, stderr bytes.Buffer
	err := runOn(ctx, h, args, strings.NewReader(stdin), &stdout, &stderr)
	return clitest.Result{Err: err, Stdout: stdout.String(), Stderr: stderr.String()}
}

// testInstaller returns what a step works with.
func testInstaller(t *testing.T, h host, c *settings) *installer {
	t.Helper()
	i := &installer{cfg: c, host: h, stderr: io.Discard, stdin: strings.NewReader("")}
	i.Runner = step.NewRunner(tool, cli.Common{Quiet: true}, false, nil, io.Discard, io.Discard)
	return i
}
