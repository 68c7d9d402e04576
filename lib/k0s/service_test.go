package k0s

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestWords checks the meaning of what k0s prints when it refuses.
func TestWords(t *testing.T) {
	const (
		usage   = "Usage:\n  k0s start [flags]\n\n" // of versions that print it before the error
		startUp = "cmd/start/start.go of k0s v1.32.8+k0s.0"
		stopped = "cmd/stop/stop.go of k0s v1.32.8+k0s.0"
		leaving = "k0s v1.32.8+k0s.0 with etcd v3.5.21"
	)
	for _, tt := range []struct {
		words, from string
		meaning     func(error) bool
	}{
		{"Error: already running", startUp, alreadyRunning},
		{usage + "Error: already running", startUp, alreadyRunning},
		{"Error: already stopped", stopped, alreadyStopped},
		{"Error: k0s has not been installed as a service", "pkg/install/service.go of k0s v1.32.8+k0s.0", notInstalled},
		{"Error: failed to delete etcd peer from cluster: etcdserver: unhealthy cluster", leaving, Settling},
		{"Error: failed to delete etcd peer from cluster: etcdserver: leader changed", leaving, Settling},
	} {
		_, err := script(t, "cat >&2 <<'END'\n"+tt.words+"\nEND\nexit 1").run(t.Context(), time.Minute, nil, "start")
		if !tt.meaning(err) {
			t.Errorf("%q (%s) is not recognized: %v", tt.words, tt.from, err)
		}
	}
	for _, meaning := range []func(error) bool{alreadyRunning, alreadyStopped, notInstalled, Settling} {
		for _, err := range []error{nil, errors.New("already running, already stopped, leader changed"), &runError{words: "permission denied", err: os.ErrPermission}} {
			if meaning(err) {
				t.Errorf("%v has a meaning that it should not have", err)
			}
		}
	}
}

func TestStartAndStop(t *testing.T) {
	for _, tt := range []struct {
		name    string
		do      func(Binary) error
		printed string
		want    string
	}{
		{"start", func(b Binary) error { return b.Start(t.Context()) }, "already running", ""},
		{"start", func(b Binary) error { return b.Start(t.Context()) }, "already stopped", "k0s start: already stopped"},
		{"stop", func(b Binary) error { return b.Stop(t.Context()) }, "already stopped", ""},
		{"stop", func(b Binary) error { return b.Stop(t.Context()) }, "k0s has not been installed as a service", ""},
		{"stop", func(b Binary) error { return b.Stop(t.Context()) }, "failed to stop", "k0s stop: failed to stop"},
	} {
		text := ""
		if err := tt.do(script(t, `[ "$*" = `+tt.name+` ] && echo "Error: `+tt.printed+`" >&2; exit 1`)); err != nil {
			text = err.Error()
		}
		if text != tt.want {
			t.Errorf("%s, k0s prints %q: error %q, want %q", tt.name, tt.printed, text, tt.want)
		}
	}
}

// TestStatus: only the socket shows whether k0s is running, not the words of an error.
func TestStatus(t *testing.T) {
	answer := `echo '{"Version":"v1.32.8+k0s.0","Role":"controller","K0sVars":{"AdminKubeConfigPath":"/x/admin.conf"}}'`
	dir, err := os.MkdirTemp("", "k0s") // the path of a socket is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	s, err := script(t, answer).Status(t.Context(), dir, time.Minute)
	if err != nil || s == nil || s.K0sVars.AdminKubeConfigPath != "/x/admin.conf" {
		t.Errorf("Status = %+v, %v", s, err)
	}
	if s, err := script(t, "echo 'Error: no matter what' >&2; exit 1").Status(t.Context(), dir, time.Minute); s != nil || err != nil {
		t.Errorf("without a socket: %+v, %v, want neither", s, err)
	}
	listenUnix(t, filepath.Join(dir, statusSocket))
	if _, err := script(t, "echo 'Error: connection refused' >&2; exit 1").Status(t.Context(), dir, time.Minute); err == nil || err.Error() != "k0s status -o json: connection refused" {
		t.Errorf("with a socket: error %v, want the one of k0s", err)
	}
	if _, err := script(t, "sleep 60").Status(t.Context(), dir, 50*time.Millisecond); !errors.Is(err, ErrSilent) {
		t.Errorf("a k0s that hangs: error %v, want %v", err, ErrSilent)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := script(t, "sleep 60").Status(ctx, dir, time.Minute); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the caller's time is up: error %v", err)
	}
	if _, err := (Binary{Path: "/nowhere/k0s"}).Status(t.Context(), dir, time.Minute); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error %v, want that there is no such file", err)
	}
}

func TestInstalled(t *testing.T) {
	root := t.TempDir()
	if s, err := Installed(root); s != nil || err != nil {
		t.Errorf("nothing there: %+v, %v", s, err)
	}
	// github.com/kardianos/service as k0s v1.32.8+k0s.0 uses it.
	for unit, text := range map[string]string{
		"/etc/init.d/k0sworker": "command=\"/usr/local/bin/k0s\"\nname=\"k0sworker\"\ncommand_args=\"worker --token-file /etc/k0s/token \"\n",
		"/etc/systemd/system/k0scontroller.service": "[Service]\nExecStart=/usr/local/bin/k0s controller --enable-worker --single=false " +
			"--config \"/etc/k0s.yaml\" --data-dir=/x\n",
	} {
		if err := os.MkdirAll(filepath.Dir(root+unit), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(root+unit, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		s, err := Installed(root)
		if err != nil || s == nil || s.Unit != root+unit {
			t.Fatalf("Installed = %+v, %v, want %s", s, err, unit)
		}
		var got []string
		for _, name := range []string{"--token-file", "--config", "--data-dir", "--nothing"} {
			got = append(got, s.Value("-x", name))
		}
		want := []string{"/etc/k0s/token", "", "", ""}
		if s.Role == RoleController {
			want = []string{"", "/etc/k0s.yaml", "/x", ""}
		}
		if !slices.Equal(got, want) || s.Has("--enable-worker") != (s.Role == RoleController) || s.Has("--single") {
			t.Errorf("%s: values %q, want %q", s.Role, got, want)
		}
		if err := os.Remove(root + unit); err != nil {
			t.Fatal(err)
		}
	}
	if (*Service)(nil).Has("--single") || (*Service)(nil).Value("--config") != "" {
		t.Error("no service has flags")
	}
}

// The forms of cmd/etcd/list.go of k0s v1.32.8+k0s.0, log lines before it included.
func TestParseMembers(t *testing.T) {
	for out, want := range map[string]string{
		`{"members":{"n1":"https://10.0.0.11:2380","n2":"https://10.0.0.12:2380"}}` + "\n":                   "n1=https://10.0.0.11:2380 n2=https://10.0.0.12:2380",
		"time=\"2026-01-01\" level=warning msg=\"{\"\n" + `{"members":{"":"https://[fd00::1]:2380"}}` + "\n": "=https://[fd00::1]:2380",
		`{"members":{}}`: "",
		"":               "",
		"not json":       "",
	} {
		got, err := parseMembers(out)
		var all []string
		for _, m := range got {
			all = append(all, m.Name+"="+m.Peer)
		}
		if strings.Join(all, " ") != want || (err == nil) != (want != "") {
			t.Errorf("%q: %v, %v, want %q", out, got, err, want)
		}
	}
}
