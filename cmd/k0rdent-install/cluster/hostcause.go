package cluster

import "strings"

// Problems of a host cause errors elsewhere that do not mention it.
const (
	noRoute      = "the host has no default route: ip route add default via ADDRESS"
	noNameserver = "the host has no nameserver other than loopback: echo nameserver ADDRESS >>/etc/resolv.conf"
)

var hostCauses = []struct{ words, cause string }{
	{"no default routes found", noRoute},                 // kubelet, which finds no address for the node
	{"no IP ranges specified", noRoute},                  // the CNI plugin of a node without an address
	{"network is unreachable", noRoute},                  // a pod on the host's network, on the way to a service
	{"no valid upstream addresses found", noNameserver},  // CoreDNS
	{"/etc/resolv.conf: no such file", noNameserver},     // kubelet, for every pod
	{"/resolve/resolv.conf: no such file", noNameserver}, // the same with systemd-resolved
}

// hostCause returns the problem of the host that causes a message, or "".
func hostCause(message string) string {
	for _, c := range hostCauses {
		if strings.Contains(message, c.words) {
			return c.cause
		}
	}
	return ""
}
