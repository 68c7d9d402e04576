package main

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/k0s"
	"k0rdent-airgap/lib/record"
	"k0rdent-airgap/tests/clitest"
	standin "k0rdent-airgap/tests/k0s"
)

// The users in join tokens.
const (
	workerUser     = "kubelet-bootstrap"
	controllerUser = "controller-bootstrap"
)

// apiWithNode serves what a node may request from an API server about itself, with
// this host as a Ready node. It sets K0S_START so that the stand-in's service writes
// a kubeconfig for it. It returns the address of the server.
func apiWithNode(t *testing.T) string {
	t.Helper()
	return apiWith(t, func() string { return "True" })
}

// apiWith is like apiWithNode, with another status of the condition Ready.
func apiWith(t *testing.T, ready func() string) string {
	t.Helper()
	name, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "ok") })
	mux.HandleFunc("GET /api/v1/nodes/"+strings.ToLower(name), func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"metadata":{"name":%q},"status":{"conditions":[{"type":"Ready","status":%q}],"addresses":[{"type":"InternalIP","address":"10.0.0.9"}]}}`, strings.ToLower(name), ready())
	})
	mux.HandleFunc("GET /apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/"+strings.ToLower(name), func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"kind":"Lease","apiVersion":"coordination.k8s.io/v1","metadata":{"name":"a"},"spec":{"renewTime":%q}}`, time.Now().UTC().Format("2006-01-02T15:04:05.000000Z07:00"))
	})
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	kubeconfig := t.TempDir() + "/kubeconfig"
	clitest.Write(t, kubeconfig, fmt.Sprintf("apiVersion: v1\nkind: Config\ncurrent-context: c\nclusters: [{name: k, cluster: {server: %q}}]\ncontexts: [{name: c, context: {cluster: k, user: u}}]\nusers: [{name: u, user: {}}]\n", srv.URL))
	t.Setenv("K0S_START", "cp "+kubeconfig+` "$2/kubelet.conf"; mkdir -p "$2/pki"; cp `+kubeconfig+` "$2/pki/admin.conf"`)
	return strings.Replace(srv.URL, "http://", "https://", 1)
}

func TestJoin(t *testing.T) {
	for _, tt := range []struct{ role, user, install string }{
		{k0s.RoleWorker, workerUser, "install worker --token-file /etc/k0s/join-token"},
		{k0s.RoleController, controllerUser, "install controller --enable-worker --no-taints --token-file /etc/k0s/join-token"},
	} {
		t.Run(tt.role, func(t *testing.T) {
			h, s := testHost(t), aSite(t)
			mirrored(t, h, s)
			server := apiWithNode(t)
			file := h.root + "/root/token"
			clitest.Write(t, file, standin.Token(tt.user, server))
			if tt.role == k0s.RoleController {
				clitest.Write(t, h.k0sConfig, firstYAML)
			}
			args := s.args("--join", tt.role, "--token-file", file)
			before := tree(t, h.root)
			if r := try(t, h, "", append(args, "--plan")...); r.Err != nil || tree(t, h.root) != before {
				t.Fatalf("the plan: %v; it changed the host: %v\n%s", r.Err, tree(t, h.root) != before, r.Stderr)
			}
			r := try(t, h, "", args...)
			if r.Err != nil {
				t.Fatalf("%v\n%s", r.Err, r.Stderr)
			}
			for _, step := range []string{"token", "k0s-install", "k0s-start", "k0s-joined", "token-removed", "k0s-ready"} {
				if r.Step(step).Status != record.StatusDone {
					t.Errorf("%+v, want it done", r.Step(step))
				}
			}
			for _, path := range []string{file, h.joinToken} {
				if _, err := os.Stat(path); err == nil {
					t.Errorf("the token is still in %s", path)
				}
			}
			if _, err := os.Stat(h.k0sConfig); (err == nil) != (tt.role == k0s.RoleController) {
				t.Errorf("k0s.yaml: %v; only a controller needs one", err)
			}
			if got, want := k0sCalls(t, h), []string{tt.install, "start"}; !slices.Equal(got, want) {
				t.Errorf("k0s was run with %q, want %q", got, want)
			}
			after := tree(t, h.root)
			if r := try(t, h, "", args...); r.Err != nil || strings.Contains(r.Steps(), "done") || tree(t, h.root) != after {
				t.Errorf("again: %v, %s, want nothing to do\n%s", r.Err, r.Steps(), r.Stderr)
			}
		})
	}
}

// firstYAML is the k0s.yaml of the first controller, at 203.0.113.11.
const firstYAML = "spec:\n  api: {address: 203.0.113.11, sans: [n1, 203.0.113.11]}\n  network: {nodeLocalLoadBalancing: {enabled: true}}\n  storage: {etcd: {peerAddress: 203.0.113.11}}\n"

// TestJoinUsesOwnAddress replaces the addresses in a k0s.yaml copied from the first
// controller.
func TestJoinUsesOwnAddress(t *testing.T) {
	h, s := testHost(t), aSite(t)
	mirrored(t, h, s)
	server := apiWithNode(t)
	clitest.Write(t, h.root+"/root/token", standin.Token(controllerUser, server))
	args := s.args("--join", k0s.RoleController, "--token-file", h.root+"/root/token")
	clitest.Write(t, h.k0sConfig, "spec: {api: {address: 203.0.113.11}}\n")
	if r := try(t, h, "", args...); !strings.Contains(r.Step("preflight").Error, "k0s.yaml: neither spec.network.nodeLocalLoadBalancing nor spec.api.externalAddress") {
		t.Errorf("%v, want a cluster for one controller refused", r.Err)
	}
	clitest.Write(t, h.k0sConfig, firstYAML)
	if r := try(t, h, "", args...); r.Err != nil {
		t.Fatalf("%v\n%s", r.Err, r.Stderr)
	}
	text := read(t, h.k0sConfig)
	y, err := parseSpec([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	n, err := findNode(t.Context(), "", s.At)
	if err != nil {
		t.Fatal(err)
	}
	if y.API.Address != n.address.String() || y.Storage.Etcd.PeerAddress != n.address.String() || !strings.Contains(text, `203.0.113.11, "`+n.name+`", "`+y.API.Address+`"]`) {
		t.Errorf("address %s, peer address %s, want %v and that among the sans\n%s", y.API.Address, y.Storage.Etcd.PeerAddress, n.address, text)
	}
}

// TestResetOfAJoinedHost removes the host, a controller from etcd first, and leaves
// the cluster's platform alone.
func TestResetOfAJoinedHost(t *testing.T) {
	for role, want := range map[string][]string{
		k0s.RoleWorker:     {"stop", "reset"},
		k0s.RoleController: {"etcd leave --peer-address 192.0.2.12", "stop", "reset"},
	} {
		h, s := testHost(t), aSite(t)
		mirrored(t, h, s)
		server := apiWithNode(t)
		user := map[string]string{k0s.RoleWorker: workerUser, k0s.RoleController: controllerUser}[role]
		clitest.Write(t, h.root+"/root/token", standin.Token(user, server))
		clitest.Write(t, h.k0sConfig, firstYAML)
		if r := try(t, h, "", s.args("--join", role, "--token-file", h.root+"/root/token")...); r.Err != nil {
			t.Fatalf("%v\n%s", r.Err, r.Stderr)
		}
		name, err := os.Hostname()
		if err != nil {
			t.Fatal(err)
		}
		if role == k0s.RoleController {
			clitest.Write(t, h.data+"/etcd/members", "n1 https://203.0.113.11:2380\n"+name+" https://192.0.2.12:2380\n")
		}
		detail := map[string]string{k0s.RoleWorker: "this host is a worker", k0s.RoleController: "the cluster keeps running on n1"}[role]
		plan := try(t, h, "", "--reset", "--plan")
		if !strings.Contains(plan.Step("preflight").Detail, detail) || plan.Step("preflight").Cluster != "stays" {
			t.Errorf("%s: the plan %v, %+v", role, plan.Err, plan.Step("preflight"))
		}
		r := try(t, h, "", "--reset", "--yes")
		if r.Err != nil || !strings.Contains(r.Step("preflight").Detail, detail) || r.Step("preflight").Cluster != "stays" {
			t.Errorf("%s: %v, %+v", role, r.Err, r.Step("preflight"))
		}
		if got := k0sCalls(t, h)[2:]; !slices.Equal(got, want) {
			t.Errorf("%s: k0s was run with %q, want %q", role, got, want)
		}
	}
}

func TestJoinKilledBetweenSteps(t *testing.T) {
	s := aSite(t)
	for _, step := range []string{"preflight", "notes", "token", "k0s-install", "k0s-start", "k0s-joined", "token-removed", "k0s-ready"} {
		t.Run(step, func(t *testing.T) {
			h := testHost(t)
			mirrored(t, h, s)
			server := apiWithNode(t)
			file := h.root + "/root/token"
			clitest.Write(t, file, standin.Token(workerUser, server))
			args := s.args("--join", k0s.RoleWorker, "--token-file", file)
			if r := killed(t, h, step, "", args...); !errors.Is(r.Err, errKilled) {
				t.Fatalf("%v, want it killed\n%s", r.Err, r.Stderr)
			}
			if r := try(t, h, "", args...); r.Err != nil {
				t.Fatalf("%v\n%s", r.Err, r.Stderr)
			}
			for _, path := range []string{file, h.joinToken} {
				if _, err := os.Stat(path); err == nil {
					t.Errorf("the token is still in %s", path)
				}
			}
			if got := len(k0sCalls(t, h)); got != 2 {
				t.Errorf("k0s was run with %q, want two calls", k0sCalls(t, h))
			}
		})
	}
}

// TestTokenIsRemovedOnceJoined, not earlier, and however long the node then takes to
// become Ready.
func TestTokenIsRemovedOnceJoined(t *testing.T) {
	var ready atomic.Bool
	h, s := testHost(t), aSite(t)
	mirrored(t, h, s)
	server := apiWith(t, func() string {
		if ready.Load() {
			return "True"
		}
		return "False"
	})
	file := h.root + "/root/token"
	clitest.Write(t, file, standin.Token(workerUser, server))
	args := s.args("--join", k0s.RoleWorker, "--token-file", file)
	joins := os.Getenv("K0S_START")
	run := func(timeout, steps string, left bool) {
		t.Helper()
		r := try(t, h, "", append(args, "--timeout", timeout)...)
		if !strings.HasSuffix(r.Steps(), steps) {
			t.Errorf("steps %s, want %s; %v\n%s", r.Steps(), steps, r.Err, r.Stderr)
		}
		for _, path := range []string{file, h.joinToken} {
			if _, err := os.Stat(path); (err == nil) != left {
				t.Errorf("%s: %v, want the token left: %v", path, err, left)
			}
		}
	}
	t.Setenv("K0S_START", `rm "$2/kubelet.conf"`)
	run("1s", "k0s-start done, k0s-joined failed, token-removed skipped, k0s-ready skipped", true)
	if err := exec.Command("/bin/sh", "-c", joins, "start", k0s.RoleWorker, h.data).Run(); err != nil {
		t.Fatal(err)
	}
	run("1s", "k0s-start unchanged, k0s-joined unchanged, token-removed done, k0s-ready failed", false)
	run("1s", "k0s-start unchanged, k0s-joined unchanged, token-removed unchanged, k0s-ready failed", false)
	ready.Store(true)
	run("10m", "k0s-start unchanged, k0s-joined unchanged, token-removed unchanged, k0s-ready unchanged", false)
	if got := k0sCalls(t, h); len(got) != 2 {
		t.Errorf("k0s was run with %q, want two calls", got)
	}
}

func TestJoinRefuses(t *testing.T) {
	s := aSite(t)
	tests := []struct {
		name, role, token, want string
		config                  string
	}{
		{"a token for the other role", k0s.RoleController, standin.Token(workerUser, "https://127.0.0.1:1"), "token: it is for a worker, not for a controller", ""},
		{"no token", k0s.RoleWorker, "", "does not exist", ""},
		{"not a token", k0s.RoleWorker, "hello", "token: not a join token of k0s: not base64", ""},
		{"a server that does not answer", k0s.RoleWorker, standin.Token(workerUser, "https://127.0.0.1:1"), "server: dial tcp 127.0.0.1:1", ""},
		{"not the server in the configuration", k0s.RoleWorker, standin.Token(workerUser, "https://127.0.0.1:1"), "is for the server https://127.0.0.1:1, but join.server in the configuration file is 10.0.0.10", "join: {server: 10.0.0.10}"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := testHost(t)
			mirrored(t, h, s)
			clitest.Write(t, h.config, tt.config)
			if tt.token != "" {
				clitest.Write(t, h.root+"/root/token", tt.token)
			}
			before := tree(t, h.root)
			r := try(t, h, "", s.args("--join", tt.role, "--token-file", h.root+"/root/token")...)
			if got := r.Step("preflight").Error; !strings.Contains(got, tt.want) || cli.Code(r.Err) != cli.CodeFailed {
				t.Errorf("preflight %q, %v, want %q", got, r.Err, tt.want)
			}
			if strings.Contains(r.Stdout+r.Stderr, "0123456789abcdef") {
				t.Error("the secret of the token is in the output")
			}
			os.Remove(h.lock)
			if tree(t, h.root) != before {
				t.Error("the host was changed")
			}
		})
	}
}

func TestJoinWithTokenInConfigFile(t *testing.T) {
	h, s := testHost(t), aSite(t)
	mirrored(t, h, s)
	server := apiWithNode(t)
	clitest.Write(t, h.config, fmt.Sprintf("join: {mode: worker, server: %q, token: %q}\n", server, strings.TrimSpace(standin.Token(workerUser, server))))
	if r := try(t, h, "", s.args()...); r.Err != nil || r.Step("token-removed").Status != record.StatusDone {
		t.Errorf("%v, %s\n%s", r.Err, r.Steps(), r.Stderr)
	}
}

func TestMakeToken(t *testing.T) {
	h, s := testHost(t), aSite(t)
	if r := try(t, h, "", "--token", "worker"); !strings.Contains(fmt.Sprint(r.Err), "k0s is not running on this host") {
		t.Errorf("%v, want k0s not running", r.Err)
	}
	mirrored(t, h, s)
	if r := try(t, h, "", untilReady(s)...); r.Step("k0s-start").Status != record.StatusDone {
		t.Fatal(r.Stderr)
	}
	for _, role := range []string{k0s.RoleWorker, k0s.RoleController} {
		r := try(t, h, "", "--token", role, "--expiry", "36h")
		if r.Err != nil {
			t.Fatalf("%v\n%s", r.Err, r.Stderr)
		}
		path := h.state + "/" + role + "-token"
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%v, %v, want a file for its owner only", info, err)
		}
		made, err := k0s.ParseToken([]byte(read(t, path)))
		if err != nil || made.Role != role {
			t.Errorf("%+v, %v, want a token for a %s", made, err, role)
		}
		if files := clitest.Records[record.File](r); len(files) != 1 || files[0].Path != path || files[0].Digest != "" {
			t.Errorf("records %+v, want one for the file, without a digest of the secret", files)
		}
		if calls := k0sCalls(t, h); calls[len(calls)-1] != "token create --role "+role+" --expiry 36h0m0s" {
			t.Errorf("k0s was run with %q", calls[len(calls)-1])
		}
		if strings.Contains(r.Stdout+r.Stderr, strings.TrimSpace(read(t, path))) {
			t.Error("the token is in the output")
		}
	}
	if r := try(t, h, "", "--token", "worker", "--plan", "--token-file", h.root+"/x"); r.Err != nil || r.Step("token").Status != record.StatusPlanned {
		t.Errorf("the plan: %v, %+v", r.Err, r.Step("token"))
	}
	if _, err := os.Stat(h.root + "/x"); err == nil {
		t.Error("the plan wrote a token")
	}
}
