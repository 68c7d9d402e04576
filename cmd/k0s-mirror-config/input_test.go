package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"strings"
	"testing"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/k0s"
	"k0rdent-airgap/tests/clitest"
)

// server returns the last mirror in the file of a registry directory.
func server(t *testing.T, root, host string) k0s.Entry {
	t.Helper()
	content, err := os.ReadFile(root + k0s.CertsDir + "/" + host + "/" + k0s.HostsName)
	if err != nil {
		t.Fatal(err)
	}
	h, err := k0s.ReadHosts(content)
	if err != nil {
		t.Fatal(err)
	}
	return h.Server
}

// TestMirrorFromRecords: the last tool of a pipe knows where the images were pushed.
func TestMirrorFromRecords(t *testing.T) {
	ca := testCA(t)
	const pushed = `{"kind":"image","repository":"k0sproject/coredns","tag":"1.12.2","registry":"10.0.0.5:5000","prefix":"k0rdent-enterprise","reference":"10.0.0.5:5000/k0rdent-enterprise/k0sproject/coredns:1.12.2","status":"pushed"}` + "\n"
	const local = `{"kind":"image","repository":"x","tag":"1","registry":"localhost:5000","prefix":"p","reference":"localhost:5000/p/x:1","status":"exists"}` + "\n"
	tests := []struct {
		name, stdin string
		want        string // the mirror, or the error
		ca          bool
	}{
		{"oci-serve with TLS", `{"kind":"registry","url":"https://10.0.0.5:5000","ca":"` + ca + `"}` + "\n", "https://10.0.0.5:5000", true},
		{"oci-serve on this machine", `{"kind":"registry","url":"http://127.0.0.1:5000"}`, "http://127.0.0.1:5000", false},
		{"oci-serve, pushed under a prefix", `{"kind":"registry","url":"https://10.0.0.5:5000"}` + "\n" + pushed, "https://10.0.0.5:5000/v2/k0rdent-enterprise", false},
		{"oci-serve, pushed by another name", `{"kind":"registry","url":"http://127.0.0.1:5000"}` + "\n" + local, "http://127.0.0.1:5000/v2/p", false},
		{"oci-push alone", pushed + pushed, "https://10.0.0.5:5000/v2/k0rdent-enterprise", false},
		{"oci-serve with HTTP for all", `{"kind":"registry","url":"http://10.0.0.5:5000"}`, "speaks plain HTTP", false},
		{"pushed to localhost", local, "means something else on every host", false},
		{"listed only", `{"kind":"image","repository":"x","tag":"1"}`, "no mirror to pull from", false},
		{"pushed to no registry", `{"kind":"image","repository":"x","tag":"1","registry":"h:x","reference":"h:x/x:1"}`, `image record: registry: invalid port "x"`, false},
		{"pushed below no path", `{"kind":"image","repository":"x","tag":"1","registry":"h","prefix":"A B"}`, `image record: registry: invalid prefix "A B"`, false},
		{"missing CA", `{"kind":"registry","url":"https://10.0.0.5:5000","ca":"/nowhere"}`, "open /nowhere", false},
		{"nonsense", "hello", "line 1: not a JSON record", false},
		{"wrong type", `{"kind":"registry","url":7}`, "line 1: registry record", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			root := newRoot(t, current)
			o := start(t, root, tt.stdin)
			if !strings.HasPrefix(tt.want, "http") {
				if o.err == nil || !strings.Contains(o.err.Error(), tt.want) {
					t.Errorf("error %v, want %q in it", o.err, tt.want)
				}
				if _, err := os.Stat(root + "/etc"); err == nil {
					t.Error("something was written")
				}
				return
			}
			if o.err != nil {
				t.Fatal(o.err)
			}
			if e := server(t, root, "quay.io"); e.URL != tt.want || (len(e.CA) == 1) != tt.ca {
				t.Errorf("mirror %+v, want %s, with an authority: %v", e, tt.want, tt.ca)
			}
		})
	}
}

func TestRecordsPassOn(t *testing.T) {
	in := `{"kind":"bundle","path":"/b.tgz","signature":"good"}` + "\n" +
		`{"kind":"new",  "x":[1]}` + "\n" +
		`{"kind":"version","k0s":["v1.36.3+k0s.0","v1.32.8+k0s.0"]}` + "\n"
	root := t.TempDir()
	o := ok(t, root, in, "--mirror", "https://10.0.0.5:5000")
	if !strings.HasPrefix(o.out, in) {
		t.Errorf("output %.200s, want it to begin with the input", o.out)
	}
	if text, err := os.ReadFile(root + k0s.DropInPath); err != nil || !strings.Contains(string(text), "version = 3") {
		t.Errorf("drop-in %s, %v, want it for the newest k0s of the bundle", text, err)
	}
	// k0s-extract's record has the version that was actually extracted.
	in += `{"kind":"file","path":"/usr/local/bin/k0s","version":"v1.32.8+k0s.0","status":"planned"}` + "\n"
	ok(t, root, in, "--mirror", "https://10.0.0.5:5000")
	if text, err := os.ReadFile(root + k0s.DropInPath); err != nil || !strings.Contains(string(text), "version = 2") {
		t.Errorf("drop-in %s, %v, want it for the k0s that was extracted", text, err)
	}
}

// TestBadSignature: an untrusted bundle changes nothing on the host, and its record also stops
// the tools behind this one.
func TestBadSignature(t *testing.T) {
	in := `{"kind":"bundle","path":"/b.tgz","signature":"bad"}` + "\n"
	for _, args := range [][]string{{"--mirror", "https://m"}, {"--remove"}, {"--check"}} {
		root := newRoot(t, current)
		o := start(t, root, in, args...)
		if o.code() != cli.CodeFailed || !strings.Contains(o.err.Error(), "bundle /b.tgz: its signature is bad") || o.out != in {
			t.Errorf("%v: code %d, %v, output %q", args, o.code(), o.err, o.out)
		}
		if _, err := os.Stat(root + "/etc"); err == nil {
			t.Errorf("%v: something was written", args)
		}
	}
}

// TestListOnStdin: the output of k0s can be piped in unchanged.
func TestListOnStdin(t *testing.T) {
	root := newRoot(t, current)
	o := ok(t, root, "\n# more\nnvcr.io/x/y:1\n  busybox\n", "--mirror", "https://m", "--images", "-")
	if len(o.passed) > 0 || server(t, root, "nvcr.io").URL != "https://m" {
		t.Errorf("passed on %v, want a directory for the registry in the list", o.passed)
	}
	o = start(t, root, "nvcr.io/x/y:1\n", "--mirror", "https://m")
	var stderr bytes.Buffer
	cli.Report(&stderr, "x", o.err)
	if !strings.Contains(stderr.String(), "hint: to read a list of images from stdin, give --images -") {
		t.Errorf("%s, want a hint", stderr.String())
	}
}

// TestInterruptWhileReading: a stdin that never ends does not keep the program running.
func TestInterruptWhileReading(t *testing.T) {
	clitest.InterruptReading(t, func(ctx context.Context, stdin io.Reader) error {
		return run(ctx, []string{"--mirror", "https://m", "--root", t.TempDir()}, stdin, io.Discard, io.Discard)
	})
}
