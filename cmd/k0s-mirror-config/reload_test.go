package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/k0s"
)

// runningRoot returns a host's tree in which a k0s of this version answers on its socket, with
// the process id of a containerd.
func runningRoot(t *testing.T, version string, workloads bool) string {
	t.Helper()
	root, err := os.MkdirTemp("", "k0s") // the path of a socket is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(root) })
	writeFile(t, root+k0s.RunDir+"/containerd.pid", 0o644, "100\n")
	ln := listen(t, root, "status.sock")
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"Version":%q,"Pid":1,"Role":"worker","Workloads":%v}`, version, workloads)
	})}
	done := make(chan struct{})
	go func() { defer close(done); srv.Serve(ln) }()
	t.Cleanup(func() { srv.Close(); <-done })
	return root
}

func listen(t *testing.T, root, name string) net.Listener {
	t.Helper()
	ln, err := net.Listen("unix", filepath.Join(root, k0s.RunDir, name))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return ln
}

// TestRunningNode: a change's effect on a running node is reported, and a drop-in that would
// stop the running containerd is not written.
func TestRunningNode(t *testing.T) {
	const effect = "no pod can start for about 8 s"
	root := runningRoot(t, current, true)
	args := []string{"--mirror", "https://10.0.0.5:5000", "--k0s-version", current}
	if o := ok(t, root, "", append(args, "--plan")...); !strings.Contains(o.stderr, "would restart containerd") {
		t.Errorf("plan: %q, want what it does to the node", o.stderr)
	}
	if o := ok(t, root, "", args...); !strings.Contains(o.stderr, effect) {
		t.Errorf("drop-in written: %q, want what it does to the node", o.stderr)
	}
	if o := ok(t, root, "", "--mirror", "https://10.0.0.6:5000", "--k0s-version", current); o.stderr != "" {
		t.Errorf("only hosts.toml changed: %q, want nothing", o.stderr)
	}
	before := snapshot(t, root+"/etc")
	o := start(t, root, "", "--mirror", "https://10.0.0.5:5000", "--k0s-version", old)
	if o.code() != cli.CodeFailed || !strings.Contains(o.err.Error(), "k0s v1.36.3+k0s.2 is running and does not work with a drop-in for k0s v1.35.7+k0s.0") || !strings.Contains(o.stderr, "hint: stop it first") {
		t.Errorf("code %d, %v, want a refusal with a hint", o.code(), o.err)
	}
	untouched(t, root+"/etc", before)
	if o := ok(t, root, "", "--remove"); !strings.Contains(o.stderr, effect) {
		t.Errorf("drop-in removed: %q, want what it does to the node", o.stderr)
	}

	controller := runningRoot(t, current, false)
	if o := ok(t, controller, "", args...); o.stderr != "" {
		t.Errorf("a controller without a containerd: %q, want nothing", o.stderr)
	}
}

// TestReload waits for k0s to restart containerd, and restarts k0s if it does not.
func TestReload(t *testing.T) {
	tests := []struct {
		name    string
		k0s     string // what the program does when it is started
		notices bool
		answers bool
		wantErr string
		want    string // on stderr
	}{
		{"k0s notices", "exit 1", true, true, "", "containerd answers again"},
		{"k0s does not", `echo "$1" >>"$0.log"; [ "$1" = stop ] || echo 102 >PID`, false, true, "", "restarting k0s"},
		{"k0s cannot be restarted", "echo 'Error: not installed' >&2; exit 1", false, true, "k0s stop: not installed", ""},
		{"containerd stays away", "exit 1", true, false, "containerd did not come back", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			root := runningRoot(t, current, true)
			pid := root + k0s.RunDir + "/containerd.pid"
			writeFile(t, root+k0s.BinaryPath, 0o755, "#!/bin/sh\n"+strings.ReplaceAll(tt.k0s, "PID", pid))
			if tt.answers {
				listen(t, root, "containerd.sock")
			}
			var stderr strings.Builder
			tool := &tool{cfg: &config{root: root, restart: true}, progress: cli.NewProgress("x", &stderr, false), binary: k0s.Binary{Path: root + k0s.BinaryPath}}
			r, err := tool.running(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			r.notice, r.back = time.Second, time.Second // in vain
			if tt.answers {
				r.back = time.Minute
			}
			if tt.notices {
				r.notice = time.Minute
				time.AfterFunc(50*time.Millisecond, func() { os.WriteFile(pid, []byte("101\n"), 0o644) })
			}
			err = r.follow(t.Context(), true)
			if tt.wantErr == "" && err != nil || tt.wantErr != "" && (err == nil || !strings.Contains(err.Error(), tt.wantErr)) {
				t.Errorf("error %v, want %q", err, tt.wantErr)
			}
			if !strings.Contains(stderr.String(), tt.want) {
				t.Errorf("stderr %q, want %q in it", stderr.String(), tt.want)
			}
			if log, err := os.ReadFile(root + k0s.BinaryPath + ".log"); !tt.notices && tt.wantErr == "" && (err != nil || string(log) != "stop\nstart\n") {
				t.Errorf("k0s was called with %q, %v, want stop and start", log, err)
			}
		})
	}
}

// TestReloadOnlyIfNeeded: a run that changed no drop-in does not wait, and an interrupt ends the
// wait.
func TestReloadOnlyIfNeeded(t *testing.T) {
	root := runningRoot(t, current, true)
	var stderr strings.Builder
	tool := &tool{cfg: &config{root: root, restart: true}, progress: cli.NewProgress("x", &stderr, false)}
	r, err := tool.running(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := r.follow(t.Context(), false); err != nil || stderr.Len() > 0 {
		t.Errorf("nothing changed: %v, %q", err, stderr.String())
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cli.ErrInterrupted)
	if err := r.follow(ctx, true); !errors.Is(err, cli.ErrInterrupted) {
		t.Errorf("error %v, want the interrupt", err)
	}
}
