package k0s

import (
	"errors"
	"testing"
)

// TestShared holds the form that join.sh reads, and that nothing else is lost.
func TestShared(t *testing.T) {
	for _, tt := range []struct{ name, have, want string }{
		{"nothing of its own", "kind: ClusterConfig\n", `kind: ClusterConfig
spec:
  api:
    # join.sh: address
    # join.sh: sans
    port: 6443
`},
		{"address and sans", `# by hand
kind: ClusterConfig
spec:
  api:
    address: 10.0.0.11 # of n1
    # the usual
    port: 6443
    sans: [n1, 10.0.0.11]
  telemetry: {enabled: false}
`, `# by hand
kind: ClusterConfig
spec:
  api:
    # join.sh: address
    # join.sh: sans
    # the usual
    port: 6443
  telemetry: {enabled: false}
`},
		{"the cluster's sans stay", `spec:
  api: {address: 10.0.0.11, sans: [N1, api.site.example, 10.0.0.11, 10.0.0.100]}
  storage:
    etcd: {peerAddress: 192.168.0.11}
`, `spec:
  api:
    # join.sh: address
    sans:
      # join.sh: items of sans
      - api.site.example
      - 10.0.0.100
  storage:
    etcd:
      # join.sh: peerAddress
      extraArgs: {}
`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Shared([]byte(tt.have), "n1")
			if err != nil || string(got) != tt.want {
				t.Errorf("%v\n%s\nwant\n%s", err, got, tt.want)
			}
			if again, err := Shared(got, "n1"); err != nil || len(again) == 0 {
				t.Errorf("again: %v", err)
			}
		})
	}
	for _, bad := range []string{"", "- a\n", "spec: [a]\n", "x: &a {}\nspec:\n  api: *a\n", "spec:\n  api: &a {port: 1}\n", "a: b: c"} {
		if got, err := Shared([]byte(bad)); err == nil {
			t.Errorf("%q: %s, want an error", bad, got)
		}
	}
}

func TestBalanced(t *testing.T) {
	for config, want := range map[string]error{
		"": ErrUnbalanced,
		"spec: {network: {nodeLocalLoadBalancing: {enabled: false}}}":   ErrUnbalanced,
		"spec: {network: {nodeLocalLoadBalancing: {type: EnvoyProxy}}}": ErrUnbalanced,
		"spec: {network: {nodeLocalLoadBalancing: {enabled: true}}}":    nil,
		"spec: {api: {externalAddress: lb.site.example}}":               nil,
	} {
		if got := Balanced([]byte(config)); !errors.Is(got, want) {
			t.Errorf("%q: %v, want %v", config, got, want)
		}
	}
}
