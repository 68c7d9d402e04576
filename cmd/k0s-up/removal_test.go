package main

import (
	"errors"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"

	"k0rdent-airgap/cmd/k0s-up/kube"
	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/k0s"
)

// TestDecide decides what may be removed with a host. In every row the host is n2 at
// 10.0.0.12.
func TestDecide(t *testing.T) {
	silent := errors.New("k0s etcd member-list: no answer within 30s")
	addr := netip.MustParseAddrPort
	n1, n2, n3 := "https://10.0.0.11:2380", "https://10.0.0.12:2380", "https://[fd00::13]:2380"
	known := func(names ...string) *kube.Controllers { return &kube.Controllers{Names: names} }
	etcd := func(pairs ...string) (all []k0s.Member) {
		for pair := range slices.Chunk(pairs, 2) {
			all = append(all, k0s.Member{Name: pair[0], Peer: pair[1]})
		}
		return all
	}
	earlier := &removal{Role: k0s.RoleController, Stays: true, Others: []string{"n1"}}
	controller := facts{role: k0s.RoleController, running: true, store: storeEtcd}
	for _, tt := range []struct {
		name   string
		change func(*facts)
		want   removal
		err    string // part of the error
	}{
		{"nothing", func(f *facts) { *f = facts{} }, removal{}, ""},
		{"removed already", func(f *facts) { *f = facts{earlier: earlier} }, *earlier, ""},
		{"a worker", func(f *facts) { *f = facts{role: k0s.RoleWorker, running: true} }, removal{Role: k0s.RoleWorker, Stays: true}, ""},
		{"a worker that is stopped", func(f *facts) { *f = facts{role: k0s.RoleWorker} }, removal{Role: k0s.RoleWorker, Stays: true}, ""},
		{"a worker whose controllers are lost", func(f *facts) { *f = facts{role: k0s.RoleWorker, last: true} }, removal{Role: k0s.RoleWorker, Stays: true}, ""},
		{"a controller that never started", func(f *facts) { f.running, f.store = false, "" }, removal{Role: k0s.RoleController}, ""},

		{"the only controller", func(f *facts) { f.members = etcd("n2", n2) }, removal{Role: k0s.RoleController}, ""},
		{"the only one, as the API says too", func(f *facts) { f.members, f.api = etcd("n2", n2), known("n2") }, removal{Role: k0s.RoleController}, ""},
		{"the only one, and the API is silent", func(f *facts) { f.members, f.apiErr = etcd("n2", n2), silent }, removal{Role: k0s.RoleController}, ""},
		{"one of two", func(f *facts) { f.members = etcd("n1", n1, "n2", n2) },
			removal{Role: k0s.RoleController, Stays: true, Others: []string{"n1"}, peer: "10.0.0.12", peers: etcd("n1", n1), Servers: []netip.AddrPort{addr("10.0.0.11:6443")}}, ""},
		{"one of two, and the API is silent", func(f *facts) { f.members, f.apiErr = etcd("n1", n1, "n2", n2), silent },
			removal{Role: k0s.RoleController, Stays: true, Others: []string{"n1"}, peer: "10.0.0.12", peers: etcd("n1", n1), Servers: []netip.AddrPort{addr("10.0.0.11:6443")}}, ""},
		{"one of two, and the API knows only this host", func(f *facts) { f.members, f.api = etcd("n1", n1, "n2", n2), known("n2") },
			removal{Role: k0s.RoleController, Stays: true, Others: []string{"n1"}, peer: "10.0.0.12", peers: etcd("n1", n1), Servers: []netip.AddrPort{addr("10.0.0.11:6443")}}, ""},
		{"one of three", func(f *facts) {
			f.members = etcd("n1", n1, "N2", n2, "n3", n3)
			f.api = &kube.Controllers{Names: []string{"n1", "n2", "n3"}, Endpoints: []netip.AddrPort{addr("10.0.0.11:6443"), addr("10.0.0.12:6443")}}
		}, removal{Role: k0s.RoleController, Stays: true, Others: []string{"n1", "n3"}, peer: "10.0.0.12", peers: etcd("n1", n1, "n3", n3),
			Servers: []netip.AddrPort{addr("10.0.0.11:6443"), addr("[fd00::13]:6443")}}, ""},
		{"another name in etcd", func(f *facts) { f.members = etcd("n1", n1, "etcd-b", n2) },
			removal{Role: k0s.RoleController, Stays: true, Others: []string{"n1"}, peer: "10.0.0.12", peers: etcd("n1", n1), Servers: []netip.AddrPort{addr("10.0.0.11:6443")}}, ""},
		{"another address in etcd", func(f *facts) { f.members = etcd("n1", n1, "n2", "https://192.168.7.7:2380") },
			removal{Role: k0s.RoleController, Stays: true, Others: []string{"n1"}, peer: "192.168.7.7", peers: etcd("n1", n1), Servers: []netip.AddrPort{addr("10.0.0.11:6443")}}, ""},
		{"a member that has not started", func(f *facts) { f.members = etcd("", n1, "n2", n2) },
			removal{Role: k0s.RoleController, Stays: true, Others: []string{"10.0.0.11"}, peer: "10.0.0.12", peers: etcd("", n1), Servers: []netip.AddrPort{addr("10.0.0.11:6443")}}, ""},

		{"etcd alone, the API knows another", func(f *facts) { f.members, f.api = etcd("n2", n2), known("n1", "n2") },
			removal{}, "this host is the only member of etcd, but the Kubernetes API knows other controllers: n1"},
		{"etcd alone, another API server carries traffic", func(f *facts) {
			f.members, f.api = etcd("n2", n2), &kube.Controllers{Endpoints: []netip.AddrPort{addr("10.0.0.11:6443")}}
		}, removal{}, "the Kubernetes API knows other controllers: 10.0.0.11:6443"},
		{"etcd alone, a load balancer carries traffic", func(f *facts) {
			f.balanced = true
			f.members, f.api = etcd("n2", n2), &kube.Controllers{Names: []string{"n2"}, Endpoints: []netip.AddrPort{addr("10.0.0.100:6443")}}
		}, removal{Role: k0s.RoleController}, ""},
		{"etcd alone, the API knows another, which is lost", func(f *facts) { f.members, f.api, f.last = etcd("n2", n2), known("n1", "n2"), true },
			removal{Role: k0s.RoleController}, ""},
		{"not in etcd", func(f *facts) { f.members = etcd("n1", n1) }, removal{}, "etcd has the members n1 at 10.0.0.11, and none of them is this host (n2, 10.0.0.12)"},
		{"not in etcd, which it has left", func(f *facts) { f.members, f.earlier = etcd("n1", n1), earlier },
			removal{Role: k0s.RoleController, Stays: true, Others: []string{"n1"}, peers: etcd("n1", n1), Servers: []netip.AddrPort{addr("10.0.0.11:6443")}}, ""},
		{"two members could be this host", func(f *facts) { f.members = etcd("n1", n2, "n2", n1) }, removal{}, "more than one member that could be this host"},
		{"others answer, but --last-controller is given", func(f *facts) { f.members, f.last = etcd("n1", n1, "n2", n2), true },
			removal{}, "--last-controller: etcd answers and has other members: n1"},

		{"etcd is silent", func(f *facts) { f.membersErr = silent }, removal{}, "cannot determine whether this cluster has other controllers: k0s etcd member-list: no answer"},
		{"etcd is silent, the API knows only this host", func(f *facts) { f.membersErr, f.api = silent, known("n2") }, removal{}, "cannot determine whether"},
		{"k0s is stopped", func(f *facts) { f.membersErr, f.running = silent, false }, removal{}, "k0s is stopped, so it is unknown whether"},
		{"k0s is stopped, the others are lost", func(f *facts) { f.membersErr, f.running, f.last = silent, false, true }, removal{Role: k0s.RoleController}, ""},
		{"k0s is stopped, and has left etcd", func(f *facts) { f.membersErr, f.running, f.earlier = silent, false, earlier }, *earlier, ""},

		{"--single", func(f *facts) { f.store = "" }, removal{Role: k0s.RoleController}, ""},
		{"--single, stopped", func(f *facts) { f.store, f.running = "", false }, removal{Role: k0s.RoleController}, ""},
		{"a database, alone", func(f *facts) { f.store, f.api = storeShared, known("n2") }, removal{Role: k0s.RoleController}, ""},
		{"a database, with others", func(f *facts) {
			f.store, f.api = storeShared, &kube.Controllers{Names: []string{"n1", "n2"}, Endpoints: []netip.AddrPort{addr("10.0.0.11:6443"), addr("10.0.0.12:6443")}}
		}, removal{Role: k0s.RoleController, Stays: true, Others: []string{"n1"}, Servers: []netip.AddrPort{addr("10.0.0.11:6443")}}, ""},
		{"a database, and the API is silent", func(f *facts) { f.store, f.apiErr = storeShared, silent }, removal{}, "cannot determine whether"},
		{"a database, stopped, the others are lost", func(f *facts) { f.store, f.apiErr, f.running, f.last = storeShared, silent, false, true }, removal{Role: k0s.RoleController}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := controller
			tt.change(&f)
			f.name, f.addresses, f.apiPort = "n2", []netip.Addr{netip.MustParseAddr("10.0.0.12")}, defaultAPIPort
			got, err := f.decide()
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) || cli.HintOf(err) == "" {
					t.Fatalf("%v, hint %q; want %q and a hint", err, cli.HintOf(err), tt.err)
				}
				return
			}
			if err != nil || !reflect.DeepEqual(got, tt.want) {
				t.Errorf("%+v, %v, want %+v", got, err, tt.want)
			}
		})
	}
}
