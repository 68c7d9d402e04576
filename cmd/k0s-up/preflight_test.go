package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/record"
	"k0rdent-airgap/lib/step"
	"k0rdent-airgap/tests/clitest"
)

func TestPlanChangesNothing(t *testing.T) {
	h, s := testHost(t), aSite(t)
	mirrored(t, h, s)
	before := tree(t, h.root)
	r := try(t, h, "", s.args("--plan")...)
	if r.Err != nil {
		t.Fatalf("%v\n%s", r.Err, r.Stderr)
	}
	want := "preflight unchanged, notes unchanged, k0s.yaml planned, k0s-install planned, k0s-start planned, k0s-ready planned"
	if got := r.Steps(); got != want {
		t.Errorf("steps %s, want %s", got, want)
	}
	for _, shown := range []string{"k0s.yaml: spec.telemetry.enabled: false"} {
		if !strings.Contains(r.Stderr, shown+"\n") {
			t.Errorf("the plan does not show %q:\n%s", shown, r.Stderr)
		}
	}
	if after := tree(t, h.root); after != before {
		t.Errorf("the plan changed the host:\n%s\nwas\n%s", after, before)
	}
	if calls := k0sCalls(t, h); len(calls) > 0 {
		t.Errorf("the plan ran k0s %q", calls)
	}
}

// TestPreflight has one problem in each row. Nothing may be changed.
func TestPreflight(t *testing.T) {
	s := aSite(t)
	tests := []struct {
		name   string
		before func(t *testing.T, h *host)
		args   []string
		want   []string // in the error of the step
		hint   string
	}{
		{"port in use", func(t *testing.T, h *host) {
			clitest.Write(t, h.proc+"/net/tcp", "  sl  local_address rem_address   st\n   0: 00000000:192B 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1\n"+
				"   1: 0100007F:24E3 0100007F:1234 01 00000000:00000000 00:00000000 00000000     0        0 4712 1\n")
			clitest.Write(t, h.proc+"/77/comm", "k3s-server\n")
			if err := errors.Join(os.MkdirAll(h.proc+"/77/fd", 0o755), os.Symlink("socket:[4711]", h.proc+"/77/fd/9")); err != nil {
				t.Fatal(err)
			}
		}, nil, []string{"ports: port 6443 is in use by k3s-server (process 77); k0s needs it for the Kubernetes API"}, "stop that program"},
		{"another port for the API", func(t *testing.T, h *host) {
			clitest.Write(t, h.proc+"/net/tcp", "  sl  local_address rem_address   st\n   0: 00000000:1A0A 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1\n")
		}, []string{"--api-port", "6666"}, []string{"ports: port 6666 is in use by another program"}, ""},
		{"little memory", func(t *testing.T, h *host) { clitest.Write(t, h.proc+"/meminfo", "MemTotal: 512000 kB\n") },
			nil, []string{"memory: this host has 524.3 MB; k0s alone needs"}, ""},
		{"no overlay", func(t *testing.T, h *host) { clitest.Write(t, h.proc+"/filesystems", "\text4\n") },
			nil, []string{"system: the kernel has no overlay file system"}, ""},
		{"no k0s", func(t *testing.T, h *host) { h.k0s += "-absent" },
			nil, []string{"k0s: ", "k0s-absent does not exist"}, "install it from the bundle: k0s-extract BUNDLE"},
		{"another k0s is required", nil, []string{"--k0s-version", "v1.33.1+k0s.0"}, []string{"k0s is v1.32.8+k0s.0, not v1.33.1+k0s.0"}, "k0s-extract"},
		{"no mirror", func(t *testing.T, h *host) { os.Remove(h.root + "/etc/k0s/containerd.d/cri-registry.toml") },
			nil, []string{"cri-registry.toml does not exist"}, "k0s-mirror-config --mirror https://" + s.At + " --ca " + s.CA},
		{"a mirror that containerd ignores", func(t *testing.T, h *host) { clitest.Write(t, h.certs+"/quay.io/hosts.toml", "server = \n") },
			nil, []string{"mirror: images of quay.io: ", "not a hosts.toml"}, ""},
		{"an unknown key", func(t *testing.T, h *host) { clitest.Write(t, h.k0sConfig, "spec:\n  registry:\n    mirrors: []\n") },
			nil, []string{"k0s.yaml: ", "line 2: spec.registry: k0s does not know this key and would not start (did you mean spec."}, ""},
		{"the pod network is the host's", func(t *testing.T, h *host) { clitest.Write(t, h.k0sConfig, "spec: {network: {podCIDR: 0.0.0.0/0}}\n") },
			nil, []string{"network: the pod network 0.0.0.0/0 overlaps with this host's network"}, "--pod-cidr"},
		{"networks overlap", nil, []string{"--pod-cidr", "10.96.0.0/16"}, []string{"network: the pod network 10.96.0.0/16 and the service network 10.96.0.0/12 overlap"}, ""},
		{"not an address of this host", nil, []string{"--api-address", "203.0.113.77"}, []string{"network: 203.0.113.77 is not an address of this host"}, ""},
		{"set up as a worker", func(t *testing.T, h *host) {
			clitest.Write(t, h.root+"/etc/systemd/system"+"/k0sworker.service", "[Service]\nExecStart=/usr/local/bin/k0s worker --token-file=/x\n")
		}, nil, []string{"k0s: this host is set up as a worker"}, "--reset"},
		{"a controller without pods", func(t *testing.T, h *host) {
			clitest.Write(t, h.root+"/etc/systemd/system"+"/k0scontroller.service", "[Service]\nExecStart=/usr/local/bin/k0s controller\n")
		}, nil, []string{"k0s: k0s is installed as a controller that runs no pods"}, "--reset"},
		{"another k0s is running", func(t *testing.T, h *host) {
			clitest.Write(t, h.root+"/etc/systemd/system"+"/k0scontroller.service", "[Service]\nExecStart=/usr/local/bin/k0s controller --enable-worker=true --no-taints=true\n")
			clitest.Write(t, h.runDir+"/status.sock", "controller v1.31.5+k0s.0\n")
		}, nil, []string{"k0s: k0s v1.31.5+k0s.0 is running, but ", "k0s is v1.32.8+k0s.0"}, "--upgrade"},
		{"all at once", func(t *testing.T, h *host) {
			clitest.Write(t, h.proc+"/meminfo", "MemTotal: 512000 kB\n")
			clitest.Write(t, h.proc+"/filesystems", "\n")
			os.Remove(h.root + "/etc/k0s/containerd.d/cri-registry.toml")
		}, nil, []string{"memory: ", "system: ", "mirror: "}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := testHost(t)
			mirrored(t, h, s)
			if tt.before != nil {
				tt.before(t, &h)
			}
			before := tree(t, h.root)
			r := try(t, h, "", s.args(tt.args...)...)
			if cli.Code(r.Err) != cli.CodeFailed {
				t.Fatalf("code %d, %v, want 1\n%s", cli.Code(r.Err), r.Err, r.Stderr)
			}
			got := r.Step("preflight")
			if got.Status != record.StatusFailed {
				t.Fatalf("preflight %+v, want it failed", got)
			}
			for _, w := range tt.want {
				if !strings.Contains(got.Error, w) {
					t.Errorf("error %q, want %q in it", got.Error, w)
				}
			}
			if strings.Contains(got.Error, "port 9443") {
				t.Errorf("error %q: nothing listens on that port", got.Error)
			}
			if !strings.Contains(r.Stderr, tt.hint) {
				t.Errorf("no hint %q:\n%s", tt.hint, r.Stderr)
			}
			os.Remove(h.lock)
			if after := tree(t, h.root); after != before {
				t.Errorf("the host was changed:\n%s\nwas\n%s", after, before)
			}
			if calls := k0sCalls(t, h); len(calls) > 0 {
				t.Errorf("k0s %q was run", calls)
			}
		})
	}
}

func TestUnusableRegistry(t *testing.T) {
	s := aSite(t)
	for _, tt := range s.Unusable() {
		t.Run(tt.Name, func(t *testing.T) {
			h := testHost(t)
			mirrored(t, h, s)
			r := try(t, h, "", tt.Args...)
			if cli.Code(r.Err) != tt.Code || !strings.Contains(r.Step("preflight").Error, tt.Want) {
				t.Errorf("code %d, %v, preflight %q; want code %d and %q", cli.Code(r.Err), r.Err, r.Step("preflight").Error, tt.Code, tt.Want)
			}
		})
	}
}

func TestIgnore(t *testing.T) {
	h, s := testHost(t), aSite(t)
	clitest.Write(t, h.proc+"/meminfo", "MemTotal: 512000 kB\n")
	r := try(t, h, "", s.args("--plan", "--ignore", "memory,mirror")...)
	if r.Err != nil || !strings.Contains(r.Stderr, "memory: this host has 524.3 MB") || !strings.Contains(r.Stderr, "cri-registry.toml does not exist") {
		t.Errorf("%v, want the two as warnings\n%s", r.Err, r.Stderr)
	}
}

// TestMirrorOfAnotherRegistry has a directory that leads elsewhere, also in the spelling
// that containerd tries first.
func TestMirrorOfAnotherRegistry(t *testing.T) {
	s := aSite(t)
	own, _, _ := strings.Cut(s.At, "/")
	for host, dir := range map[string]string{"quay.io": "quay.io", own: strings.Replace(own, ":", "_", 1) + "_"} {
		t.Run(host, func(t *testing.T) {
			h := testHost(t)
			mirrored(t, h, s)
			file := h.certs + "/" + dir + "/hosts.toml"
			clitest.Write(t, file, "server = \"https://other.example.org\"\n\n[host]\n")
			r := try(t, h, "", s.args("--plan")...)
			if want := "mirror: images of " + host + ": " + file + " leads to https://other.example.org, not to " + own; r.Err != nil || !strings.Contains(r.Stderr, want) {
				t.Errorf("%v, want a warning %q\n%s", r.Err, want, r.Stderr)
			}
		})
	}
}

func TestMirrorOfAnotherVersion(t *testing.T) {
	h, s := testHost(t), aSite(t)
	mirrored(t, h, s)
	clitest.Write(t, h.root+"/etc/k0s/containerd.d/cri-registry.toml", "# Managed by k0s-mirror-config\nversion = 3\n")
	r := try(t, h, "", s.args("--plan")...)
	if want := "was written for another version of k0s than v1.32.8+k0s.0"; !strings.Contains(r.Step("preflight").Error, want) {
		t.Errorf("%+v, want %s", r.Step("preflight"), want)
	}
}

// TestPortsOfAStoppedK0s: pods keep running and listen on ports that k0s needs.
func TestPortsOfAStoppedK0s(t *testing.T) {
	h, s := testHost(t), aSite(t)
	mirrored(t, h, s)
	clitest.Write(t, h.root+"/etc/systemd/system"+"/k0scontroller.service", "[Service]\nExecStart=/usr/local/bin/k0s controller --enable-worker=true --no-taints=true\n")
	clitest.Write(t, h.proc+"/net/tcp", "  sl  local_address rem_address   st\n   0: 00000000:2810 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1\n")
	if r := try(t, h, "", s.args("--plan")...); r.Err != nil {
		t.Errorf("%v\n%s", r.Err, r.Stderr)
	}
}

// TestSilentK0s has a k0s that is running and does not answer, as while it starts.
func TestSilentK0s(t *testing.T) {
	h, s := testHost(t), aSite(t)
	mirrored(t, h, s)
	if r := try(t, h, "", untilReady(s)...); r.Step("k0s-start").Status != record.StatusDone {
		t.Fatal(r.Stderr)
	}
	clitest.Write(t, h.k0s, strings.Replace(read(t, h.k0s), "status() {", "status() {\n  exec sleep 60", 1))
	if err := os.Chmod(h.k0s, 0o755); err != nil {
		t.Fatal(err)
	}
	h.timeout = 100 * time.Millisecond
	r := try(t, h, "", untilReady(s)...)
	if r.Step("preflight").Status != record.StatusUnchanged || r.Step("k0s-start").Status != record.StatusUnchanged {
		t.Errorf("steps %s, want the run to wait for it\n%s", r.Steps(), r.Stderr)
	}
}

func TestExpiredAuthority(t *testing.T) {
	h, s := testHost(t), aSite(t)
	mirrored(t, h, s)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	old := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1e9, 0)}
	der, err := x509.CreateCertificate(rand.Reader, old, old, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	both := h.root + "/ca.pem"
	clitest.Write(t, both, read(t, s.CA)+string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	r := try(t, h, "", "--registry", s.At, "--ca", both, "--ignore", "loopback")
	if got := r.Step("preflight").Error; !strings.Contains(got, "the registry's authority is valid from 1970-01-01T00:00:00Z to 2001-09-09T01:46:40Z") {
		t.Errorf("preflight %q", got)
	}
}

// TestClocks has a registry whose clock is an hour behind.
func TestClocks(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Date", time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat))
		w.Header().Set("Docker-Distribution-API-Version", "registry/2.0")
	}))
	defer srv.Close()
	u := testUp(t, testHost(t), &settings{Registry: cli.Registry{At: srv.Listener.Addr().String(), PlainHTTP: true}})
	var err error
	if u.site, err = u.openSite(); err != nil {
		t.Fatal(err)
	}
	if err := u.site.reg.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	u.checkTime(t.Context())
	if _, err := u.Report(&u.Problems); err == nil || !strings.HasPrefix(step.Full(err), "time: this host's clock is at ") || !strings.Contains(step.Full(err), ", the registry's at ") {
		t.Errorf("%v, want the two times", err)
	}
}

// TestMissingImages: a registry without an image of k0s.
func TestMissingImages(t *testing.T) {
	h, s := testHost(t), newSite(t, "pause", "k0sproject/coredns:1.12.2")
	mirrored(t, h, s)
	before := tree(t, h.root)
	r := try(t, h, "", s.args()...)
	missing := make(map[string]string)
	for _, i := range clitest.Records[record.Image](r) {
		missing[i.Reference] = i.Error
	}
	for reference, want := range map[string]string{
		"registry.k8s.io/pause:3.9":         "required by k0s v1.32.8+k0s.0",
		"quay.io/k0sproject/coredns:1.12.2": "not in the registry",
	} {
		if !strings.Contains(missing[reference], want) || !strings.Contains(r.Stderr, reference+": not in the registry") {
			t.Errorf("%s: %q, want %q in it; missing are %v\n%s", reference, missing[reference], want, missing, r.Stderr)
		}
	}
	os.Remove(h.lock)
	if cli.Code(r.Err) != cli.CodeFailed || len(missing) != 2 || tree(t, h.root) != before {
		t.Errorf("%v, %v; want the host unchanged", r.Err, missing)
	}
}
