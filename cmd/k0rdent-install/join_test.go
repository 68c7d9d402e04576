package main

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/record"
)

// token makes a join token as k0s does (k0sproject/k0s, pkg/token).
func token(user, server string) string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	fmt.Fprintf(z, "apiVersion: v1\nkind: Config\nclusters:\n- cluster: {server: %q}\n  name: k0s\nusers:\n- name: %s\n  user: {token: abcdef.0123456789abcdef}\n", server, user)
	z.Close()
	return base64.StdEncoding.EncodeToString(b.Bytes()) + "\n"
}

// apiWithNode answers as an API server does in which this host is a Ready node,
// as far as a node may ask about itself. K0S_START makes the stand-in's service
// write a kubeconfig for it.
func apiWithNode(t *testing.T) string {
	t.Helper()
	name, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "ok") })
	mux.HandleFunc("GET /api/v1/nodes", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.FormValue("fieldSelector") != "metadata.name="+strings.ToLower(name) {
			http.Error(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Forbidden","code":403}`, http.StatusForbidden)
			return
		}
		fmt.Fprintf(w, `{"kind":"NodeList","apiVersion":"v1","metadata":{"resourceVersion":"7"},"items":[{"metadata":{"name":%q},"status":{"conditions":[{"type":"Ready","status":"True"}]}}]}`, strings.ToLower(name))
	})
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	kubeconfig := t.TempDir() + "/kubeconfig"
	write(t, kubeconfig, fmt.Sprintf("apiVersion: v1\nkind: Config\ncurrent-context: c\nclusters: [{name: k, cluster: {server: %q}}]\ncontexts: [{name: c, context: {cluster: k, user: u}}]\nusers: [{name: u, user: {}}]\n", srv.URL))
	t.Setenv("K0S_START", "cp "+kubeconfig+` "$2/kubelet.conf"; mkdir -p "$2/pki"; cp `+kubeconfig+` "$2/pki/admin.conf"`)
	return strings.Replace(srv.URL, "http://", "https://", 1)
}

func TestJoin(t *testing.T) {
	for _, tt := range []struct{ role, user, install string }{
		{roleWorker, workerUser, "install worker --token-file /etc/k0s/join-token"},
		{roleController, controllerUser, "install controller --enable-worker --no-taints --token-file /etc/k0s/join-token"},
	} {
		t.Run(tt.role, func(t *testing.T) {
			h, s := testHost(t), aSite(t)
			mirrored(t, h, s)
			server := apiWithNode(t)
			file := h.root + "/root/token"
			write(t, file, token(tt.user, server))
			args := s.args("--join", tt.role, "--token-file", file)
			before := tree(t, h.root)
			if r := try(t, h, "", append(args, "--plan")...); r.err != nil || tree(t, h.root) != before {
				t.Fatalf("the plan: %v; it changed the host: %v\n%s", r.err, tree(t, h.root) != before, r.stderr)
			}
			r := try(t, h, "", args...)
			if r.err != nil {
				t.Fatalf("%v\n%s", r.err, r.stderr)
			}
			for _, step := range []string{"token", "k0s-install", "k0s-start", "k0s-ready", "token-removed"} {
				if r.step(step).Status != record.StatusDone {
					t.Errorf("%+v, want it done", r.step(step))
				}
			}
			for _, path := range []string{file, h.joinToken} {
				if _, err := os.Stat(path); err == nil {
					t.Errorf("the token is still in %s", path)
				}
			}
			if _, err := os.Stat(h.k0sConfig); (err == nil) != (tt.role == roleController) {
				t.Errorf("k0s.yaml: %v; only a controller needs one", err)
			}
			if got, want := k0sCalls(t, h), []string{tt.install, "start"}; !slices.Equal(got, want) {
				t.Errorf("k0s was run with %q, want %q", got, want)
			}
			after := tree(t, h.root)
			if r := try(t, h, "", args...); r.err != nil || strings.Contains(r.steps(), "done") || tree(t, h.root) != after {
				t.Errorf("again: %v, %s, want nothing to do\n%s", r.err, r.steps(), r.stderr)
			}
		})
	}
}

// TestUninstallOfAJoinedHost: it takes itself away, a controller out of etcd
// first, and not the platform of the cluster.
func TestUninstallOfAJoinedHost(t *testing.T) {
	for role, want := range map[string][]string{
		roleWorker:     {"stop", "reset"},
		roleController: {"etcd leave", "stop", "reset"},
	} {
		h, s := testHost(t), aSite(t)
		mirrored(t, h, s)
		server := apiWithNode(t)
		user := map[string]string{roleWorker: workerUser, roleController: controllerUser}[role]
		write(t, h.root+"/root/token", token(user, server))
		if r := try(t, h, "", s.args("--join", role, "--token-file", h.root+"/root/token")...); r.err != nil {
			t.Fatalf("%v\n%s", r.err, r.stderr)
		}
		r := try(t, h, "", "--uninstall", "--yes")
		if r.err != nil || r.step("platform").Detail != "this host has joined as a "+role {
			t.Errorf("%s: %v, %+v", role, r.err, r.step("platform"))
		}
		if got := k0sCalls(t, h)[2:]; !slices.Equal(got, want) {
			t.Errorf("%s: k0s was run with %q, want %q", role, got, want)
		}
	}
}

func TestJoinKilledBetweenSteps(t *testing.T) {
	s := aSite(t)
	for _, step := range []string{"preflight", "notes", "token", "k0s-install", "k0s-start", "k0s-ready"} {
		t.Run(step, func(t *testing.T) {
			h := testHost(t)
			mirrored(t, h, s)
			server := apiWithNode(t)
			file := h.root + "/root/token"
			write(t, file, token(workerUser, server))
			args := s.args("--join", roleWorker, "--token-file", file)
			if r := try(t, killedAfter(h, step), "", args...); !errors.Is(r.err, errKilled) {
				t.Fatalf("%v, want it killed\n%s", r.err, r.stderr)
			}
			if r := try(t, h, "", args...); r.err != nil {
				t.Fatalf("%v\n%s", r.err, r.stderr)
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

func TestJoinRefuses(t *testing.T) {
	s := aSite(t)
	tests := []struct {
		name, role, token, want string
		config                  string
	}{
		{"a token for the other role", roleController, token(workerUser, "https://127.0.0.1:1"), "token: it is for a worker, not for a controller", ""},
		{"no token", roleWorker, "", "token: there is no ", ""},
		{"not a token", roleWorker, "hello", "token: not a token of k0s: not in base64", ""},
		{"a server that does not answer", roleWorker, token(workerUser, "https://127.0.0.1:1"), "server: dial tcp 127.0.0.1:1", ""},
		{"another server than the configuration says", roleWorker, token(workerUser, "https://127.0.0.1:1"), "it is for https://127.0.0.1:1, not for 10.0.0.10, which", "join: {server: 10.0.0.10}"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := testHost(t)
			mirrored(t, h, s)
			write(t, h.config, tt.config)
			if tt.token != "" {
				write(t, h.root+"/root/token", tt.token)
			}
			before := tree(t, h.root)
			r := try(t, h, "", s.args("--join", tt.role, "--token-file", h.root+"/root/token")...)
			if got := r.step("preflight").Error; !strings.Contains(got, tt.want) || cli.Code(r.err) != cli.CodeFailed {
				t.Errorf("preflight %q, %v, want %q", got, r.err, tt.want)
			}
			if strings.Contains(r.stdout+r.stderr, "0123456789abcdef") {
				t.Error("the secret of the token is in the output")
			}
			os.Remove(h.lock)
			if tree(t, h.root) != before {
				t.Error("the host was touched")
			}
		})
	}
}

func TestJoinWithATokenInTheConfiguration(t *testing.T) {
	h, s := testHost(t), aSite(t)
	mirrored(t, h, s)
	server := apiWithNode(t)
	write(t, h.config, fmt.Sprintf("join: {mode: worker, server: %q, token: %q}\n", server, strings.TrimSpace(token(workerUser, server))))
	if r := try(t, h, "", s.args()...); r.err != nil || r.step("token-removed").Status != record.StatusDone {
		t.Errorf("%v, %s\n%s", r.err, r.steps(), r.stderr)
	}
}

func TestMakeToken(t *testing.T) {
	h, s := testHost(t), aSite(t)
	if r := try(t, h, "", "--token", "worker"); !strings.Contains(fmt.Sprint(r.err), "no k0s runs here") {
		t.Errorf("%v, want to hear that no k0s runs", r.err)
	}
	mirrored(t, h, s)
	if r := try(t, h, "", untilReady(s)...); r.step("k0s-start").Status != record.StatusDone {
		t.Fatal(r.stderr)
	}
	for _, role := range []string{roleWorker, roleController} {
		r := try(t, h, "", "--token", role, "--expiry", "36h")
		if r.err != nil {
			t.Fatalf("%v\n%s", r.err, r.stderr)
		}
		path := h.state + "/" + role + "-token"
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%v, %v, want a file for its owner only", info, err)
		}
		made, err := readToken([]byte(read(t, path)))
		if err != nil || made.role != role {
			t.Errorf("%+v, %v, want a token for a %s", made, err, role)
		}
		if files := records[record.File](r, "file"); len(files) != 1 || files[0].Path != path || files[0].Digest != "" {
			t.Errorf("records %+v, want one of the file, without a digest of the secret", files)
		}
		if calls := k0sCalls(t, h); calls[len(calls)-1] != "token create --role "+role+" --expiry 36h0m0s" {
			t.Errorf("k0s was run with %q", calls[len(calls)-1])
		}
		if strings.Contains(r.stdout+r.stderr, strings.TrimSpace(read(t, path))) {
			t.Error("the token is in the output")
		}
	}
	if r := try(t, h, "", "--token", "worker", "--plan", "--token-file", h.root+"/x"); r.err != nil || r.step("token").Status != record.StatusPlanned {
		t.Errorf("the plan: %v, %+v", r.err, r.step("token"))
	}
	if _, err := os.Stat(h.root + "/x"); err == nil {
		t.Error("the plan wrote a token")
	}
}

func TestReadToken(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"for a worker", token(workerUser, "https://10.0.0.1:6443"), "worker https://10.0.0.1:6443"},
		{"for a controller", token(controllerUser, "https://[fd00::1]:9443"), "controller https://[fd00::1]:9443"},
		{"for somebody else", token("admin", "https://10.0.0.1:6443"), "not a token of k0s: for a user that k0s does not have"},
		{"no server", token(workerUser, "10.0.0.1"), "not a token of k0s: no server in it"},
		{"base64 of something", "aGVsbG8=", "not a token of k0s: not compressed"},
		{"empty", "", "not a token of k0s: not compressed"},
		{"a bomb", bomb(), "not a token of k0s: cut short, or too long"},
		{"cut short", token(workerUser, "https://10.0.0.1:6443")[:80], "not a token of k0s: cut short, or too long"},
	} {
		got, err := readToken([]byte(tt.text))
		text := got.role + " " + got.server
		if err != nil {
			text = err.Error()
		}
		if text != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, text, tt.want)
		}
	}
}

// bomb is a small text that unpacks to a large one.
func bomb() string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	for range 64 {
		z.Write(make([]byte, 1<<20))
	}
	z.Close()
	return base64.StdEncoding.EncodeToString(b.Bytes())
}

// FuzzToken: whatever a file has in it, what is taken for a token names a role
// and a server, and an error has nothing of it in it.
func FuzzToken(f *testing.F) {
	f.Add([]byte(token(workerUser, "https://10.0.0.1:6443")))
	f.Add([]byte(token(controllerUser, "https://x")))
	f.Add([]byte("H4sIAAAAAAAA/w=="))
	f.Fuzz(func(t *testing.T, text []byte) {
		got, err := readToken(text)
		if err != nil {
			if !errors.Is(err, errToken) || len(err.Error()) > 80 {
				t.Errorf("error %q, want one of a token that tells nothing of it", err)
			}
			return
		}
		if got.role != roleWorker && got.role != roleController || !strings.HasPrefix(got.server, "https://") {
			t.Errorf("%+v has no role or no server", got)
		}
	})
}
