package cluster

import "strings"

// What is missing on a host shows up far from it, in words that do not name it.
const (
	noRoute      = "the host has no default route: ip route add default via ADDRESS"
	noNameserver = "the host has no nameserver but loopback: echo nameserver ADDRESS >>/etc/resolv.conf"
)

var hostCauses = []struct{ words, cause string }{
	{"no default routes found", noRoute},                 // kubelet, which finds no address for the node
	{"no IP ranges specified", noRoute},                  // the CNI plugin of a node without one
	{"network is unreachable", noRoute},                  // a pod on the host's network, on the way to a service
	{"no valid upstream addresses found", noNameserver},  // CoreDNS
	{"/etc/resolv.conf: no such file", noNameserver},     // kubelet, for every pod
	{"/resolve/resolv.conf: no such file", noNameserver}, // the same with systemd-resolved
}

// hostCause returns what a message means about the host; "" if nothing.
func hostCause(message string) string {
	for _, c := range hostCauses {
		if strings.Contains(message, c.words) {
			return c.cause
		}
	}
	return ""
}
