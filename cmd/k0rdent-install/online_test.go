package main

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/record"
	standin "k0rdent-airgap/tests/k0s"
)

// releases serves a k0s as its makers do.
func releases(t *testing.T, h host, version string, spoiled bool) string {
	t.Helper()
	program := standin.Program(h.arch, version)
	name := "k0s-" + version + "-" + h.arch
	mux := http.NewServeMux()
	mux.HandleFunc("/r/"+version+"/sha256sums.txt", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, "%x *other\n%x *%s\n", sha256.Sum256(nil), sha256.Sum256(program), name)
	})
	mux.HandleFunc("/r/"+version+"/"+name, func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.RequestURI, "+") {
			t.Errorf("asked for %s: a plus sign may be taken for a space", r.RequestURI)
		}
		if spoiled {
			program[len(program)/2]++
		}
		w.Write(program)
	})
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	return srv.URL + "/r"
}

// online runs the one step in which --online differs on this host.
func download(t *testing.T, h host, from, version string) (outcome, *installer, error) {
	t.Helper()
	c := &config{k0sDownload: from, k0sVersion: version, online: true}
	i := testInstaller(t, h, c)
	o, err := i.downloadStep().run(t.Context())
	return o, i, err
}

func TestDownload(t *testing.T) {
	h := testHost(t)
	const version = "v1.33.2+k0s.0"
	os.Remove(h.k0s)
	from := releases(t, h, version, false)
	o, i, err := download(t, h, from, version)
	if err != nil || o.status != record.StatusDone {
		t.Fatalf("%+v, %v, want it done", o, err)
	}
	if info, err := os.Stat(h.k0s); err != nil || info.Mode().Perm() != 0o755 {
		t.Errorf("%v, %v, want a program", info, err)
	}
	if i.state.file(h.k0s) == nil {
		t.Error("it is not noted as ours")
	}
	if o, _, err := download(t, h, from, version); err != nil || o.status != record.StatusUnchanged {
		t.Errorf("again: %+v, %v, want nothing to do", o, err)
	}
}

func TestDownloadRefuses(t *testing.T) {
	h := testHost(t)
	before := read(t, h.k0s)
	const version = "v1.33.2+k0s.0"
	if _, _, err := download(t, h, releases(t, h, version, true), version); err == nil || !strings.Contains(err.Error(), "checksum does not match the published one") {
		t.Errorf("%v, want the digest to be compared", err)
	}
	if _, _, err := download(t, h, releases(t, h, version, false), "v1.33.3+k0s.0"); err == nil || !strings.Contains(err.Error(), "404") {
		t.Errorf("%v, want it not to be found", err)
	}
	if _, _, err := download(t, h, "http://127.0.0.1:1/r", version); cli.Code(err) != cli.CodeTryAgain {
		t.Errorf("%v with code %d, want it to be tried again", err, cli.Code(err))
	}
	if read(t, h.k0s) != before {
		t.Error("the old k0s is gone")
	}
}

func TestOnlineWithoutK0s(t *testing.T) {
	h := testHost(t)
	h.k0s += "-absent"
	i := testInstaller(t, h, &config{online: true})
	p := &preflight{installer: i}
	p.checkK0s(t.Context())
	if _, err := p.result(); err == nil || !strings.Contains(full(err), "there is no ") {
		t.Errorf("%v, want to be asked for a version", err)
	}
	i.cfg.k0sVersion = "v1.33.2+k0s.0"
	p = &preflight{installer: i}
	p.checkK0s(t.Context())
	if o, err := p.result(); err != nil || !strings.Contains(o.detail, "k0s v1.33.2+k0s.0 is to be downloaded") {
		t.Errorf("%+v, %v, want it to be planned", o, err)
	}
}

func TestReplaceK0s(t *testing.T) {
	for _, tt := range []struct {
		name    string
		replace bool
		running string
		want    string
	}{
		{"another version", false, "", ", not v1.33.2+k0s.0"},
		{"and may be replaced", true, "", ""},
		{"and runs", true, "controller v1.32.8+k0s.0\n", "k0s v1.32.8+k0s.0 is running, not v1.33.2+k0s.0"},
	} {
		h := testHost(t)
		if tt.running != "" {
			write(t, h.root+"/etc/systemd/system"+"/k0scontroller.service", "ExecStart=/usr/local/bin/k0s controller --enable-worker --no-taints\n")
			write(t, h.runDir+"/status.sock", tt.running)
		}
		i := testInstaller(t, h, &config{online: true, k0sVersion: "v1.33.2+k0s.0", replaceK0s: tt.replace})
		p := &preflight{installer: i}
		p.checkK0s(t.Context())
		_, err := p.result()
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(full(err), tt.want)) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
}
