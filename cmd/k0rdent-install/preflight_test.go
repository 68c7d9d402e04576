package main

import (
	"path/filepath"
	"strings"
	"testing"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/record"
)

// TestPlanWithoutACluster: everything that needs no cluster is checked, and what
// does is named.
func TestPlanWithoutACluster(t *testing.T) {
	h, s := testHost(t), aSite(t)
	r := try(t, h, "", s.args("--plan")...)
	if r.err != nil {
		t.Fatalf("%v\n%s", r.err, r.stderr)
	}
	want := "preflight unchanged, secrets planned, helm planned, ready planned, credentials skipped, report planned"
	if got := r.steps(); got != want {
		t.Errorf("steps %s, want %s", got, want)
	}
	for _, shown := range []string{"values:   globalRegistry: " + s.at, "values:   registryCertSecret: k0rdent-registry-ca", "cluster: there is no cluster yet: what it has room for and what is installed in it could not be checked"} {
		if !strings.Contains(r.stderr, shown) {
			t.Errorf("the plan does not show %q:\n%s", shown, r.stderr)
		}
	}
	r = try(t, h, "", s.args()...)
	if got := r.step("preflight").Error; cli.Code(r.err) != cli.CodeFailed || !strings.HasPrefix(got, "cluster: there is no cluster yet: ") || !strings.Contains(r.stderr, "hint: k0s-up brings one up") {
		t.Errorf("without --plan: %v, %q", r.err, got)
	}
}

// TestPreflight has one thing wrong in each row.
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
		if got := r.step("preflight").Error; cli.Code(r.err) != cli.CodeFailed || !strings.Contains(got, tt.want) || !strings.Contains(r.stderr, tt.hint) {
			t.Errorf("%s: %v, %q; want %q and the hint %q\n%s", tt.name, r.err, got, tt.want, tt.hint, r.stderr)
		}
	}
}

func TestMissingImagesAreListedWithWhoWantsThem(t *testing.T) {
	h, s := testHost(t), newSite(t, "velero/velero", "capi/cluster-api-components", "charts/cluster-api-provider-aws")
	r := try(t, h, "", s.args("--plan")...)
	if cli.Code(r.err) != cli.CodeFailed {
		t.Fatalf("%v, want a failure\n%s", r.err, r.stderr)
	}
	missing := make(map[string]string)
	for _, i := range records[record.Image](r, "image") {
		if i.Status != record.StatusFailed {
			t.Errorf("image %+v, want it failed", i)
		}
		missing[strings.TrimPrefix(i.Reference, s.at+"/")] = i.Error
	}
	for reference, want := range map[string]string{
		"velero/velero:v1.17.0":                 "wanted by Deployment",
		"capi/cluster-api-components:v1.11.2":   "wanted by",
		"charts/cluster-api-provider-aws:1.0.7": "wanted by ProviderTemplate",
	} {
		if !strings.Contains(missing[reference], want) {
			t.Errorf("%s: %q, want %q in it; missing are %v", reference, missing[reference], want, missing)
		}
	}
	if !strings.Contains(r.stderr, "velero/velero:v1.17.0: not in the registry") {
		t.Errorf("a person is not told:\n%s", r.stderr)
	}
}

func TestRegistryThatCannotBeUsed(t *testing.T) {
	s := aSite(t)
	tests := []struct {
		name string
		args []string
		want string
		code int
	}{
		{"nobody there", []string{"--registry", "127.0.0.1:1", "--ca", s.ca, "--ignore", "loopback"}, "registry: 127.0.0.1:1: ", cli.CodeTryAgain},
		{"localhost", []string{"--registry", s.at, "--ca", s.ca}, "is this host for this host only", cli.CodeFailed},
		{"unknown authority", []string{"--registry", s.at, "--ignore", "loopback"}, "its certificate is signed by an unknown authority", cli.CodeFailed},
		{"none", nil, "", cli.CodeMisuse},
		{"no such file", []string{"--registry", s.at, "--ca", "/no/such/ca.pem"}, "", cli.CodeMisuse},
		{"not a certificate", []string{"--registry", s.at, "--ca", "/dev/null"}, "", cli.CodeMisuse},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := testHost(t)
			r := try(t, h, "", append(tt.args, "--ignore", "disk", "--plan")...)
			if cli.Code(r.err) != tt.code || !strings.Contains(r.step("preflight").Error, tt.want) {
				t.Errorf("code %d, %v, preflight %q; want code %d and %q", cli.Code(r.err), r.err, r.step("preflight").Error, tt.code, tt.want)
			}
		})
	}
}

func TestDisk(t *testing.T) {
	h, s := testHost(t), aSite(t)
	for size, want := range map[string]string{
		"1m":    "k0s and the images take about 2.0 GB",
		"2100m": "less than 15 % of 2.2 GB would stay free",
		"3000m": "",
	} {
		h.data = filepath.Join(smallDisk(t, size), "k0s")
		r := try(t, h, "", "--registry", s.at, "--ca", s.ca, "--ignore", "loopback", "--plan")
		if got := r.step("preflight").Error; !strings.Contains(got, want) || want == "" && got != "" {
			t.Errorf("%s: preflight %q, want %q", size, got, want)
		}
	}
}
