package k0s

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// script returns a program that stands in for k0s.
func script(t *testing.T, body string) Binary {
	t.Helper()
	path := filepath.Join(t.TempDir(), "k0s")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+body), 0o755); err != nil {
		t.Fatal(err)
	}
	return Binary{Path: path}
}

func TestBinary(t *testing.T) {
	b := script(t, `case "$*" in
version) echo v1.36.3+k0s.2 ;;
"airgap list-images") printf 'quay.io/k0sproject/coredns:1.12.2\nregistry.k8s.io/pause:3.9\n'; echo a warning >&2 ;;
"airgap list-images --config /k.yaml") echo 10.0.0.5:5000/k0sproject/coredns:1.12.2 ;;
"airgap list-images --config -") cat ;;
"config create") printf 'apiVersion: k0s.k0sproject.io/v1beta9\nkind: ClusterConfig\n' ;;
"config validate --config -") read -r text; [ "$text" = good ] || { echo "Error: $text" >&2; exit 1; } ;;
esac`)
	if v, err := b.Version(t.Context()); err != nil || v.String() != "v1.36.3+k0s.2" {
		t.Errorf("Version = %s, %v", v, err)
	}
	for config, want := range map[string]string{
		"":        "[quay.io/k0sproject/coredns:1.12.2 registry.k8s.io/pause:3.9]",
		"/k.yaml": "[10.0.0.5:5000/k0sproject/coredns:1.12.2]",
	} {
		images, err := b.ListImages(t.Context(), config)
		var got []string
		for _, i := range images {
			got = append(got, i.String())
		}
		if err != nil || "["+strings.Join(got, " ")+"]" != want {
			t.Errorf("ListImages(%q) = %v, %v, want %s", config, got, err, want)
		}
	}
	if got, err := b.ImagesFor(t.Context(), []byte("pause:3.9")); err != nil || len(got) != 1 || got[0].String() != "docker.io/library/pause:3.9" {
		t.Errorf("ImagesFor = %v, %v, want what is in the text", got, err)
	}
	if v, err := b.APIVersion(t.Context()); err != nil || v != "k0s.k0sproject.io/v1beta9" {
		t.Errorf("APIVersion = %q, %v", v, err)
	}
	if v, err := script(t, "echo kind: Config").APIVersion(t.Context()); err == nil {
		t.Errorf("APIVersion = %q of a text that is not configuration", v)
	}
	if err := b.Validate(t.Context(), []byte("good\n")); err != nil {
		t.Error(err)
	}
	if err := b.Validate(t.Context(), []byte("bad\n")); err == nil || err.Error() != "k0s config validate --config -: bad" {
		t.Errorf("Validate = %v, want k0s's own words", err)
	}
}

func TestBinaryThatDoesNotAnswer(t *testing.T) {
	tests := []struct{ name, body, want string }{
		{"fails", `echo first >&2; echo 'Error: unknown field "registry"' >&2; exit 1`, `version: unknown field "registry"`},
		{"is another program", "echo hello", `version: "hello" is not a k0s version`},
		{"floods", "yes | head -c 3000000", "version: printed more than 1048576 bytes"},
		{"is killed", "kill -9 $$", "version: signal: killed"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := script(t, tt.body).Version(t.Context()); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q in it", err, tt.want)
			}
		})
	}
	if _, err := (Binary{Path: "/nowhere/k0s"}).Version(t.Context()); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "/nowhere/k0s") {
		t.Errorf("error %v, want that there is no such file", err)
	}
}

// An interrupt ends the wait for a binary that hangs, even if a child process holds
// the pipe.
func TestBinaryIsInterrupted(t *testing.T) {
	interrupted := errors.New("interrupted")
	ctx, cancel := context.WithCancelCause(t.Context())
	b := script(t, `echo >"$0.started"; sleep 60 & wait`)
	go func() {
		for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
			if _, err := os.Stat(b.Path + ".started"); err == nil {
				break
			}
		}
		cancel(interrupted)
	}()
	start := time.Now()
	if _, err := b.Version(ctx); err != interrupted || time.Since(start) > 20*time.Second {
		t.Errorf("error %v after %v, want the interrupt at once", err, time.Since(start))
	}
}

// The text has the form that k0s 1.36 prints.
func TestSysinfo(t *testing.T) {
	b := script(t, `cat <<'END'
Total memory: 7.8 GiB (pass)
File system of /var/lib/k0s: ext4 (pass)
Name resolution: localhost: [127.0.0.1] (pass)
Operating system: Linux (pass)
  Linux kernel release: 6.1.0 (pass)
  AppArmor: unavailable (pass)
  Executable in PATH: modprobe: (error: exec: "modprobe": executable file not found in $PATH)
Containerd config snippets in /etc/k0s/containerd.d/: /etc/k0s/containerd.d/ (pass)
  Containerd config snippet: mirror.toml: /etc/k0s/containerd.d/mirror.toml (rejected: unsupported configuration version: expected 3, got 2
configuration contains a [plugins."io.containerd.grpc.v1.cri"] section which is the containerd v1 CRI plugin format)
  CONFIG_NF_TABLES: Netfilter nf_tables support: no kernel config found (warning)
END
echo 'Error: sysinfo failed' >&2
exit 1`)
	probes, err := b.Sysinfo(t.Context())
	if err != nil || len(probes) != 10 {
		t.Fatalf("%d probes, %v, want 10: %+v", len(probes), err, probes)
	}
	want := map[int]Probe{
		0: {"Total memory", "7.8 GiB", "pass", ""},
		6: {"Executable in PATH: modprobe", "", "error", `exec: "modprobe": executable file not found in $PATH`},
		8: {"Containerd config snippet: mirror.toml", "/etc/k0s/containerd.d/mirror.toml", "rejected", `unsupported configuration version: expected 3, got 2 configuration contains a [plugins."io.containerd.grpc.v1.cri"] section which is the containerd v1 CRI plugin format`},
		9: {"CONFIG_NF_TABLES: Netfilter nf_tables support", "no kernel config found", "warning", ""},
	}
	for i, p := range want {
		if probes[i] != p {
			t.Errorf("probe %d = %+v, want %+v", i, probes[i], p)
		}
	}
	if _, err := script(t, "echo no such command >&2; exit 1").Sysinfo(t.Context()); err == nil {
		t.Error("no error for a k0s without sysinfo")
	}
}

func listenUnix(t *testing.T, path string) net.Listener {
	t.Helper()
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return ln
}

func TestRunning(t *testing.T) {
	dir, err := os.MkdirTemp("", "k0s") // the path of a socket is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if s, err := Running(t.Context(), dir); s != nil || err != nil {
		t.Errorf("nothing there: %v, %v, want neither", s, err)
	}
	ln := listenUnix(t, filepath.Join(dir, "status.sock"))
	answer := `{"Version":"v1.36.3+k0s.2","Pid":4711,"Role":"controller+worker","Workloads":true,"ClusterConfig":{"spec":{}}}`
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/status" {
			w.WriteHeader(http.StatusNotFound)
		}
		w.Write([]byte(answer))
	})}
	done := make(chan error, 1)
	go func() { done <- srv.Serve(ln) }()
	want := Status{Version: "v1.36.3+k0s.2", Role: "controller+worker", Workloads: true}
	if s, err := Running(t.Context(), dir); err != nil || s == nil || *s != want {
		t.Errorf("Running = %+v, %v, want %+v", s, err, want)
	}
	answer = "nonsense"
	if s, err := Running(t.Context(), dir); err == nil {
		t.Errorf("Running = %+v, want an error", s)
	}
	ln.(*net.UnixListener).SetUnlinkOnClose(false) // as after a kill
	srv.Close()
	<-done
	if s, err := Running(t.Context(), dir); s != nil || err != nil {
		t.Errorf("after a kill: %v, %v, want neither", s, err)
	}
}
