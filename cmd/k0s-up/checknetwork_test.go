package main

import (
	"bytes"
	"cmp"
	"net/netip"
	"os"
	"strings"
	"testing"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/tests/clitest"
)

const (
	routeHead  = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
	lanRoute   = "eth0\t000A4D0A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n"
	gateway    = "eth0\t00000000\t014D0A0A\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
	zeros      = "00000000000000000000000000000000"
	sixReject  = zeros + " 00 " + zeros + " 00 " + zeros + " ffffffff 00000001 00000000 00200200       lo\n"
	sixGateway = zeros + " 00 " + zeros + " 00 fe800000000000000000000000000001 00000400 00000001 00000000 00000003     eth0\n"
	sixLAN     = "fd000000000000000000000000000000 40 " + zeros + " 00 " + zeros + " 00000100 00000001 00000000 00000001     eth0\n"
)

// TestCheckRoutes has routing tables of hosts on sites without internet.
func TestCheckRoutes(t *testing.T) {
	for _, tt := range []struct {
		name              string
		four, six, resolv string
		address, services string
		want, hint        string // of the only problem; "" for none
	}{
		{"a route and a nameserver", routeHead + lanRoute + gateway, "", "nameserver 10.77.0.1\n", "", "", "", ""},
		{"no default route", routeHead + lanRoute, sixGateway, "nameserver 10.77.0.1\n", "", "",
			"this host has no default route for IPv4", `add one, even to an unused address: "ip route add default via 10.77.10.1"`},
		{"an unreachable default", routeHead + lanRoute + "*\t00000000\t00000000\t0201\t0\t0\t0\t00000000\t0\t0\t0\n", "", "nameserver 10.77.0.1\n", "", "",
			"no default route for IPv4", "ip route add"},
		{"a blackhole", routeHead + lanRoute + "*\t00000000\t00000000\t0001\t0\t0\t0\t00000000\t0\t0\t0\n", "", "nameserver 10.77.0.1\n", "", "",
			"no default route for IPv4", "ip route add"},
		{"half a default is none", routeHead + "eth0\t00000000\t014D0A0A\t0003\t0\t0\t0\t00000080\t0\t0\t0\n", "", "nameserver 10.77.0.1\n", "", "",
			"no default route for IPv4", "ip route add"},
		{"no IPv6 default route", routeHead + gateway, sixLAN + sixReject, "nameserver fd00::1\n", "fd00::12", "fd01::/108",
			"no default route for IPv6", `add one, even to an unused address: "ip -6 route add default via fd00::1"`},
		{"IPv6", "", sixLAN + sixReject + sixGateway, "nameserver fd00::1\n", "fd00::12", "fd01::/108", "", ""},
		{"a worker with IPv6", "", sixLAN, "nameserver fd00::1\n", "fd00::12", "", "no default route for IPv6", "ip -6 route"},
		{"no nameserver", routeHead + gateway, "", "# nothing\nsearch site\n", "", "",
			"/etc/resolv.conf lists no nameserver: the cluster's DNS", "echo nameserver 10.77.10.12 >>/etc/resolv.conf"},
		{"an empty resolv.conf", routeHead + gateway, "", "", "", "", "lists no nameserver", "echo nameserver"},
		{"no resolv.conf", routeHead + gateway, "", "absent", "", "", "/etc/resolv.conf does not exist", "echo nameserver"},
		{"a nameserver of its own", routeHead + gateway, "", "nameserver 127.0.0.1\nnameserver ::1\n", "", "", "lists only loopback nameservers", "echo nameserver"},
		{"systemd-resolved", routeHead + gateway, "", "nameserver 127.0.0.53\n/nameserver 10.77.0.1\n", "", "", "", ""},
		{"systemd-resolved without a nameserver", routeHead + gateway, "", "nameserver 127.0.0.53\n/\n", "", "",
			"/run/systemd/resolve/resolv.conf lists no nameserver", "systemctl restart systemd-resolved"},
		{"systemd-resolved is not running", routeHead + gateway, "", "nameserver 127.0.0.53\n", "", "",
			"/run/systemd/resolve/resolv.conf does not exist", "systemctl restart systemd-resolved"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := testHost(t)
			os.Remove(h.root + resolvConf)
			os.Remove(h.proc + "/net/ipv6_route")
			clitest.Write(t, h.proc+"/net/route", tt.four)
			if tt.six != "" {
				clitest.Write(t, h.proc+"/net/ipv6_route", tt.six)
			}
			resolv, resolved, found := strings.Cut(tt.resolv, "/")
			if resolv != "absent" {
				clitest.Write(t, h.root+resolvConf, resolv)
			}
			if found {
				clitest.Write(t, h.root+resolvedConf, resolved)
			}
			u := testUp(t, h, &settings{})
			var shown bytes.Buffer
			u.Progress = cli.NewProgress(tool, &shown, true)
			u.node.address = netip.MustParseAddr(cmp.Or(tt.address, "10.77.10.12"))
			u.node.networks = []netip.Prefix{netip.MustParsePrefix("10.77.10.12/24"), netip.MustParsePrefix("fd00::12/64")}
			if tt.services != "" {
				u.yaml.serviceCIDR = netip.MustParsePrefix(tt.services)
			}
			u.checkRoutes()
			_, err := u.Report(&u.Problems)
			switch text := shown.String(); {
			case tt.want == "" && (err != nil || text != ""):
				t.Errorf("%v, %q, want nothing wrong", err, text)
			case tt.want == "":
			case err == nil || err.Error() != "1 problem (see above); nothing was changed":
				t.Errorf("%v, want one problem", err)
			case !strings.Contains(text, tt.want) || !strings.Contains(text, tt.hint):
				t.Errorf("%q, want %q with the hint %q", text, tt.want, tt.hint)
			}
		})
	}
}
