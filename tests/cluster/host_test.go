package cluster

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"k0rdent-airgap/lib/record"
	"k0rdent-airgap/tests/k0s"
)

// tools is where `make build` puts the programs of the project.
const tools = "../../bin"

// written are the directories in which the programs write on a host.
var written = []string{"etc", "usr/local", "var/lib", "run"}

// host is this host as programs see it that start there: what they write below
// some directories is kept aside, for them alone. It has a stand-in for k0s, and
// the API server that this starts is the one of the test.
type host struct {
	dir string
	env []string
}

// newHost makes a host, or skips the test by name where there can be none.
func newHost(t *testing.T, s *site) *host {
	t.Helper()
	h := &host{dir: t.TempDir()}
	for _, d := range written {
		for _, layer := range []string{"upper", "work"} {
			if err := os.MkdirAll(filepath.Join(h.dir, layer, d), 0o755); err != nil {
				t.Fatal(err)
			}
		}
	}
	if out, err := h.command(context.Background(), "true").CombinedOutput(); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("no overlays in a mount namespace: %v\n%s", err, out)
		}
		t.Skipf("NOT CHECKED: no overlays in a mount namespace, for which root is needed: %v\n%s", err, out)
	}
	h.write(t, "usr/local/bin/k0s", k0s.Program("amd64", "v1.32.8+k0s.0"))
	h.write(t, "etc/k0rdentd/k0rdentd.yaml", []byte("{}\n"))
	h.env = append(os.Environ(), "K0S_ROOT=/", "K0S_LOG="+filepath.Join(h.dir, "k0s.log"),
		`K0S_START=mkdir -p "$2/pki" && cp '`+s.plane.Kubeconfig+`' "$2/pki/admin.conf"`)
	return h
}

// write puts a file on the host, for its owner only unless it is a program.
func (h *host) write(t *testing.T, path string, content []byte) {
	t.Helper()
	mode := os.FileMode(0o600)
	if filepath.Base(filepath.Dir(path)) == "bin" {
		mode = 0o755
	}
	path = filepath.Join(h.dir, "upper", path)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, content, mode); err != nil {
		t.Fatal(err)
	}
}

// command is a program on the host. Its number is that of the command.
func (h *host) command(ctx context.Context, args ...string) *exec.Cmd {
	const script = `
		dir=$1; shift
		for d in ` + "etc usr/local var/lib run" + `; do
			mount -t overlay host -o "lowerdir=/$d,upperdir=$dir/upper/$d,workdir=$dir/work/$d" "/$d"
		done
		exec "$@"`
	cmd := exec.CommandContext(ctx, "unshare", append([]string{"--mount", "sh", "-euc", script, "host", h.dir}, args...)...)
	cmd.Env = h.env
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}

// ran is the result of a program.
type ran struct {
	code           int
	stdout, stderr string
}

// run runs a program of the project on the host.
func (h *host) run(ctx context.Context, t *testing.T, tool string, args ...string) ran {
	t.Helper()
	return h.follow(ctx, t, func(record.Step) {}, tool, args...)
}

// follow is run, and calls each with the record of a step as soon as it is written.
func (h *host) follow(ctx context.Context, t *testing.T, each func(record.Step), tool string, args ...string) ran {
	t.Helper()
	path, err := filepath.Abs(filepath.Join(tools, tool))
	if err != nil {
		t.Fatal(err)
	}
	cmd := h.command(ctx, append([]string{path}, args...)...)
	var stdout, stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	for lines := bufio.NewReader(out); err == nil; {
		var line []byte
		line, err = lines.ReadBytes('\n')
		stdout.Write(line)
		for _, step := range (ran{stdout: string(line)}).steps(t) {
			each(step)
		}
	}
	err = cmd.Wait()
	if _, exited := errors.AsType[*exec.ExitError](err); err != nil && !exited {
		t.Fatal(err)
	}
	return ran{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// steps returns the records of an installation's steps.
func (r ran) steps(t *testing.T) map[string]record.Step {
	t.Helper()
	all := make(map[string]record.Step)
	for line, err := range record.Read(strings.NewReader(r.stdout)) {
		if err != nil {
			t.Fatal(err)
		}
		if line.Kind != (record.Step{}).Kind() {
			continue
		}
		var s record.Step
		if err := line.Decode(&s); err != nil {
			t.Fatal(err)
		}
		all[s.Name] = s
	}
	return all
}
