package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/k0s"
	"k0rdent-airgap/tests/clitest"
)

// TestRoleAndStore determines a host's role and store from its service and from the
// data on disk, with k0s stopped.
func TestRoleAndStore(t *testing.T) {
	const controller, worker = "k0scontroller.service", "k0sworker.service"
	for _, tt := range []struct {
		name       string
		unit, args string
		data       []string // files of k0s
		config     string
		role       string
		store      store
	}{
		{name: "nothing"},
		{name: "a worker", unit: worker, args: "worker --token-file=/etc/k0s/join-token", data: []string{"kubelet.conf"}, role: k0s.RoleWorker},
		{name: "a worker whose service is gone", data: []string{"kubelet.conf"}, role: k0s.RoleWorker},
		{name: "installed, never started", unit: controller, args: "controller --enable-worker", role: k0s.RoleController},
		{name: "with etcd", unit: controller, args: "controller", data: []string{"etcd/member/snap/db", "pki/ca.key"}, role: k0s.RoleController, store: storeEtcd},
		{name: "with etcd, whose service is gone", data: []string{"etcd/member/snap/db", "pki/ca.key"}, role: k0s.RoleController, store: storeEtcd},
		{name: "about to join", unit: controller, args: "controller --token-file /etc/k0s/join-token", role: k0s.RoleController},
		{name: "a member of etcd, never started", unit: controller, args: "controller --token-file=/etc/k0s/join-token", data: []string{"pki/etcd/ca.crt"}, role: k0s.RoleController, store: storeEtcd},
		{name: "--single", unit: controller, args: "controller --single=true", data: []string{"db/state.db", "pki/ca.key"}, role: k0s.RoleController},
		{name: "--single with etcd", unit: controller, args: "controller --single", data: []string{"etcd/member/snap/db"}, role: k0s.RoleController, store: storeEtcd},
		{name: "kine with a file", unit: controller, args: "controller", data: []string{"db/state.db", "pki/ca.key"}, config: "spec: {storage: {type: kine}}", role: k0s.RoleController},
		{name: "kine with another file", unit: controller, args: "controller", data: []string{"pki/ca.key"}, config: "spec: {storage: {type: kine, kine: {dataSource: 'sqlite:///srv/k0s.db'}}}", role: k0s.RoleController},
		{name: "kine with a database", unit: controller, args: "controller", data: []string{"pki/ca.key"}, config: "spec: {storage: {type: kine, kine: {dataSource: 'mysql://db.site/k0s'}}}", role: k0s.RoleController, store: storeShared},
		{name: "an etcd that k0s does not run", unit: controller, args: "controller", data: []string{"pki/ca.key"}, config: "spec: {storage: {etcd: {externalCluster: {endpoints: ['https://10.0.0.9:2379']}}}}", role: k0s.RoleController, store: storeShared},
		{name: "another k0s.yaml", unit: controller, args: "controller --config=/srv/k0s.yaml", data: []string{"pki/ca.key"}, config: "/srv/k0s.yaml spec: {storage: {type: kine, kine: {dataSource: 'postgres://db.site/k0s'}}}", role: k0s.RoleController, store: storeShared},
		{name: "a k0s.yaml that is broken", unit: controller, args: "controller", data: []string{"etcd/member/snap/db", "pki/ca.key"}, config: "spec: [", role: k0s.RoleController, store: storeEtcd},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := testHost(t)
			if tt.unit != "" {
				clitest.Write(t, filepath.Join(h.root+"/etc/systemd/system", tt.unit), "[Service]\nExecStart=/usr/local/bin/k0s "+tt.args+"\n")
			}
			for _, path := range tt.data {
				clitest.Write(t, filepath.Join(h.data, path), "")
			}
			path, text := h.k0sConfig, tt.config
			if rest, found := strings.CutPrefix(text, "/srv/k0s.yaml "); found {
				path, text = h.root+"/srv/k0s.yaml", rest
			}
			if text != "" {
				clitest.Write(t, path, text)
			}
			f, err := testUp(t, h, &settings{}).gather(t.Context())
			if err != nil || f.role != tt.role || f.store != tt.store || f.running {
				t.Errorf("%q %q, %v; want %q %q", f.role, f.store, err, tt.role, tt.store)
			}
			if _, err := f.decide(); (err != nil) != (tt.store != "") {
				t.Errorf("%v: a stopped host cannot be removed only if others may share its state", err)
			}
		})
	}
}

// TestResetWithUnreadableStore refuses, since the store determines what may be
// removed.
func TestResetWithUnreadableStore(t *testing.T) {
	h := testHost(t)
	clitest.Write(t, filepath.Join(h.root+"/etc/systemd/system", "k0scontroller.service"), "[Service]\nExecStart=/usr/local/bin/k0s controller\n")
	clitest.Write(t, h.data+"/pki/ca.key", "")
	clitest.Write(t, h.k0sConfig, "spec: [")
	r := try(t, h, "", "--reset", "--yes")
	if cli.Code(r.Err) != cli.CodeFailed || cli.HintOf(r.Err) == "" {
		t.Errorf("%v, want it refused with a hint", r.Err)
	}
	if _, err := os.Stat(h.data); err != nil {
		t.Error(err)
	}
}
