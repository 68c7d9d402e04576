package k0s

import (
	"errors"
	"testing"
)

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
