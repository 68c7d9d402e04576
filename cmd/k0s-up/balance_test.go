package main

import (
	"strings"
	"testing"

	"k0rdent-airgap/lib/k0s"
	"k0rdent-airgap/lib/record"
	"k0rdent-airgap/tests/clitest"
)

// TestBalance checks that a new cluster is made ready for more controllers if the
// registry has the image for it, and that any other cluster refuses them.
func TestBalance(t *testing.T) {
	const warning = "the cluster can have one controller only, unless --api-external-address is given"
	without := newSite(t, "k0sproject/envoy-distroless:v1.31.10")
	for _, tt := range []struct {
		name     string
		site     testSite
		have     string
		args     []string
		enabled  bool // k0s.yaml has node-local load balancing
		balanced bool // a controller may join
		warned   bool
	}{
		{"the registry has envoy", aSite(t), "", nil, true, true, false},
		{"the registry has it under another tag", without, "", nil, false, false, true},
		{"a load balancer", without, "", []string{"--api-external-address", "api.site.example"}, false, true, false},
		{"a load balancer, although the registry has envoy", aSite(t), "", []string{"--api-external-address", "api.site.example"}, false, true, false},
		{"disabled in the file", aSite(t), "spec: {network: {nodeLocalLoadBalancing: {enabled: false}}}\n", nil, false, false, false},
		{"one host only", aSite(t), "", []string{"--storage-type", "kine"}, false, false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := testHost(t)
			mirrored(t, h, tt.site)
			if tt.have != "" {
				clitest.Write(t, h.k0sConfig, tt.have)
			}
			r := try(t, h, "", append(untilReady(tt.site), tt.args...)...)
			if r.Step("k0s-start").Status != record.StatusDone {
				t.Fatal(r.Stderr)
			}
			text := read(t, h.k0sConfig)
			if got := strings.Contains(text, "nodeLocalLoadBalancing:\n      enabled: true\n"); got != tt.enabled {
				t.Errorf("enabled %v, want %v\n%s", got, tt.enabled, text)
			}
			if got := strings.Contains(r.Stderr, warning); got != tt.warned {
				t.Errorf("warned %v, want %v\n%s", got, tt.warned, r.Stderr)
			}
			r = try(t, h, "", "--token", k0s.RoleController)
			if got := r.Step("token").Status == record.StatusDone; got != tt.balanced {
				t.Errorf("a token: %v, want %v\n%s", r.Err, tt.balanced, r.Stderr)
			}
			// A running cluster is not changed.
			if r := try(t, h, "", append(untilReady(tt.site), tt.args...)...); r.Step("k0s.yaml").Status != record.StatusUnchanged || read(t, h.k0sConfig) != text {
				t.Errorf("again: %+v", r.Step("k0s.yaml"))
			}
		})
	}
}

// TestTokenDuringAnotherRun creates a token for a second host while a run waits
// for the first one.
func TestTokenDuringAnotherRun(t *testing.T) {
	h, s := testHost(t), aSite(t)
	mirrored(t, h, s)
	if r := try(t, h, "", untilReady(s)...); r.Step("k0s-start").Status != record.StatusDone {
		t.Fatal(r.Stderr)
	}
	release, err := lock(t.Context(), h.lock)
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	if r := try(t, h, "", "--token", k0s.RoleWorker); r.Err != nil {
		t.Errorf("%v\n%s", r.Err, r.Stderr)
	}
}

// TestAddressOfAnotherHost refuses a k0s.yaml with another host's address.
func TestAddressOfAnotherHost(t *testing.T) {
	h, s := testHost(t), aSite(t)
	mirrored(t, h, s)
	clitest.Write(t, h.k0sConfig, "spec: {api: {address: 203.0.113.11}}\n")
	r := try(t, h, "", s.args("--plan")...)
	if got := r.Step("preflight").Error; !strings.Contains(got, "network: spec.api.address in k0s.yaml is 203.0.113.11, which this host does not have") {
		t.Errorf("preflight %q", got)
	}
}
