package cluster

import (
	"strings"
	"testing"
)

// TestHostCause has messages of a real kubelet, CNI plugin and CoreDNS.
func TestHostCause(t *testing.T) {
	for message, want := range map[string]string{
		`failed to setup network for sandbox "1c3": plugin type="bridge" name="kubernetes" failed (add): no IP ranges specified`: noRoute,
		"can't get ip address of node n2. error: no default routes found":                                                        noRoute,
		`Get "https://10.96.0.1:443/version": dial tcp 10.96.0.1:443: connect: network is unreachable`:                           noRoute,
		"plugin/forward: no valid upstream addresses found":                                                                      noNameserver,
		"Failed to create pod sandbox: open /etc/resolv.conf: no such file or directory":                                         noNameserver,
		"Failed to create pod sandbox: open /run/systemd/resolve/resolv.conf: no such file or directory":                         noNameserver,
		"0/1 nodes are available: 1 Insufficient cpu":                                                                            "",
	} {
		p := Problem{Object: "pod ns/p", Message: message}
		if got := p.String(); hostCause(message) != want || !strings.HasSuffix(got, message) && !strings.HasSuffix(got, message+" ("+want+")") {
			t.Errorf("%q: %q, want %q", message, got, want)
		}
	}
}
