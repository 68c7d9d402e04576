package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"k0rdent-airgap/cmd/k0rdent-install/cluster"
	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/record"
	"k0rdent-airgap/tests/clitest"
)

// TestPlanWithoutACluster checks everything that needs no cluster, and names what was
// not checked.
func TestPlanWithoutACluster(t *testing.T) {
	h, s := testHost(t), aSite(t)
	r := try(t, h, "", s.args("--plan")...)
	if r.Err != nil {
		t.Fatalf("%v\n%s", r.Err, r.Stderr)
	}
	want := "preflight unchanged, secrets planned, helm planned, ready planned, credentials skipped, report planned"
	if got := r.Steps(); got != want {
		t.Errorf("steps %s, want %s", got, want)
	}
	for _, shown := range []string{"values:   globalRegistry: " + s.At, "values:   registryCertSecret: k0rdent-registry-ca", "cluster: no cluster exists yet, so its capacity and what is installed were not checked"} {
		if !strings.Contains(r.Stderr, shown) {
			t.Errorf("the plan does not show %q:\n%s", shown, r.Stderr)
		}
	}
	r = try(t, h, "", s.args()...)
	if got := r.Step("preflight").Error; cli.Code(r.Err) != cli.CodeFailed || !strings.HasPrefix(got, "cluster: no cluster exists yet: ") || !strings.Contains(r.Stderr, "hint: create one on this host with k0s-up") {
		t.Errorf("without --plan: %v, %q", r.Err, got)
	}
}

// TestPreflight has one problem in each row.
func TestPreflight(t *testing.T) {
	s := aSite(t)
	for _, tt := range []struct {
		name string
		args []string
		want string // in the error of the step
		hint string
	}{
		{"no such release", []string{"--release", "9.9.9"}, "charts/k0rdent-enterprise:9.9.9: not in the registry", "the registry has 1.2.3"},
		{"a value of the wrong type", []string{"--set", "regional.telemetry.mode=loud"}, "chart: ", ""},
		{"no such kubeconfig", []string{"--kubeconfig", "/no/such/file"}, "cluster: stat /no/such/file", ""},
	} {
		r := try(t, testHost(t), "", append(s.args("--plan"), tt.args...)...)
		if got := r.Step("preflight").Error; cli.Code(r.Err) != cli.CodeFailed || !strings.Contains(got, tt.want) || !strings.Contains(r.Stderr, tt.hint) {
			t.Errorf("%s: %v, %q; want %q and the hint %q\n%s", tt.name, r.Err, got, tt.want, tt.hint, r.Stderr)
		}
	}
}

// TestUnreachableAPI has a server that does not listen, or to which no route leads.
func TestUnreachableAPI(t *testing.T) {
	refused := filepath.Join(t.TempDir(), "kubeconfig")
	text := "apiVersion: v1\nkind: Config\nclusters: [{name: c, cluster: {server: 'https://127.0.0.1:1'}}]\ncontexts: [{name: c, context: {cluster: c}}]\ncurrent-context: c\n"
	if err := os.WriteFile(refused, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := cluster.Open(refused)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	err = c.WaitAPI(ctx)
	for _, tt := range []struct {
		err  error
		hint string
	}{
		{err, `check the server in FILE, and run "k0s status" on its host`},
		{fmt.Errorf("api server: %w", &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.ENETUNREACH)}), `this host has no route to it: check the server in FILE, and "ip route"`},
	} {
		if got := apiHint(tt.err, "FILE"); tt.err == nil || got != tt.hint {
			t.Errorf("%v: hint %q, want %q", tt.err, got, tt.hint)
		}
	}
}

func TestMissingImages(t *testing.T) {
	h, s := testHost(t), newSite(t, "velero/velero", "capi/cluster-api-components", "charts/cluster-api-provider-aws")
	r := try(t, h, "", s.args("--plan")...)
	if cli.Code(r.Err) != cli.CodeFailed {
		t.Fatalf("%v, want a failure\n%s", r.Err, r.Stderr)
	}
	missing := make(map[string]string)
	for _, i := range clitest.Records[record.Image](r) {
		if i.Status != record.StatusFailed {
			t.Errorf("image %+v, want it failed", i)
		}
		missing[strings.TrimPrefix(i.Reference, s.At+"/")] = i.Error
	}
	for reference, want := range map[string]string{
		"velero/velero:v1.17.0":                 "required by Deployment",
		"capi/cluster-api-components:v1.11.2":   "required by",
		"charts/cluster-api-provider-aws:1.0.7": "required by ProviderTemplate",
	} {
		if !strings.Contains(missing[reference], want) {
			t.Errorf("%s: %q, want %q in it; missing are %v", reference, missing[reference], want, missing)
		}
	}
	if !strings.Contains(r.Stderr, "velero/velero:v1.17.0: not in the registry") {
		t.Errorf("stderr lacks a problem:\n%s", r.Stderr)
	}
}

func TestUnusableRegistry(t *testing.T) {
	s := aSite(t)
	for _, tt := range s.Unusable() {
		t.Run(tt.Name, func(t *testing.T) {
			h := testHost(t)
			r := try(t, h, "", append(tt.Args, "--ignore", "disk", "--plan")...)
			if cli.Code(r.Err) != tt.Code || !strings.Contains(r.Step("preflight").Error, tt.Want) {
				t.Errorf("code %d, %v, preflight %q; want code %d and %q", cli.Code(r.Err), r.Err, r.Step("preflight").Error, tt.Code, tt.Want)
			}
		})
	}
}

func TestDisk(t *testing.T) {
	h, s := testHost(t), aSite(t)
	for size, want := range map[string]string{
		"1m":    "k0s and the images take about 2.0 GB",
		"2100m": "less than 15 % of 2.2 GB free",
		"3000m": "",
	} {
		h.data = filepath.Join(smallDisk(t, size), "k0s")
		r := try(t, h, "", "--registry", s.At, "--ca", s.CA, "--ignore", "loopback", "--plan")
		if got := r.Step("preflight").Error; !strings.Contains(got, want) || want == "" && got != "" {
			t.Errorf("%s: preflight %q, want %q", size, got, want)
		}
	}
}
