package main

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/pipe"
	"k0rdent-airgap/lib/record"
	"k0rdent-airgap/lib/ref"
)

func TestBadSignatureStops(t *testing.T) {
	h, s := testHost(t), aSite(t)
	before := tree(t, h.root)
	r := try(t, h, `{"kind":"bundle","path":"/b.tgz","signature":"bad"}`+"\n", s.args()...)
	if !errors.Is(r.err, pipe.ErrBadSignature) || cli.Code(r.err) != cli.CodeFailed || r.steps() != "" {
		t.Errorf("%v with code %d and steps %q, want nothing done", r.err, cli.Code(r.err), r.steps())
	}
	if tree(t, h.root) != before || len(k0sCalls(t, h)) > 0 {
		t.Error("the host was touched")
	}
}

func TestRecordsFillInTheFlags(t *testing.T) {
	h, s := testHost(t), aSite(t)
	mirrored(t, h, s)
	stdin := `{"kind":"version","name":"k0rdent-enterprise","version":"1.2.3"}
{"kind":"image","repository":"a","registry":"` + s.at + `","status":"exists"}
{"kind":"unknown","x":1}
{"kind":"registry","address":"` + s.at + `","ca":"` + s.ca + `"}
`
	r := try(t, h, stdin, "--single-host-test", "--ignore", "disk", "--plan")
	if r.err != nil {
		t.Fatalf("%v\n%s", r.err, r.stderr)
	}
	if !strings.HasPrefix(r.stdout, stdin) {
		t.Errorf("records were not passed on as they came:\n%s", r.stdout)
	}
	if !strings.Contains(r.step("preflight").Detail, "k0rdent-enterprise 1.2.3") {
		t.Errorf("preflight %+v", r.step("preflight"))
	}
}

// TestPrefixOfTheSite: the records of a push below a path tell the path.
func TestPrefixOfTheSite(t *testing.T) {
	i := &installer{}
	for _, line := range []string{
		`{"kind":"image","repository":"a","registry":"10.0.0.5:5000","prefix":"k0rdent-enterprise","status":"pushed"}`,
		`{"kind":"image","repository":"b"}`,
	} {
		if err := i.takeRecord(record.Line{Kind: "image", Raw: []byte(line)}); err != nil {
			t.Fatal(err)
		}
	}
	if i.in.at.String() != "10.0.0.5:5000/k0rdent-enterprise" {
		t.Errorf("registry is %s", i.in.at)
	}
}

// TestInterruptWhileReading: a stdin that never ends does not keep the program
// from stopping.
func TestInterruptWhileReading(t *testing.T) {
	r, w := io.Pipe()
	defer w.Close()
	ctx, cancel := context.WithCancelCause(t.Context())
	time.AfterFunc(20*time.Millisecond, func() { cancel(cli.ErrInterrupted) })
	if err := runOn(ctx, testHost(t), []string{"--registry", "h:1"}, r, io.Discard, io.Discard); !errors.Is(err, cli.ErrInterrupted) {
		t.Errorf("error %v, want the interrupt", err)
	}
}

// TestRegistryAddress: what is pushed through the loopback interface is served
// to others from this host's address.
func TestRegistryAddress(t *testing.T) {
	tests := []struct {
		name, flag, at string
		registry       *record.Registry
		want           string
	}{
		{"a flag beats all", "10.0.0.1:5000/p", "10.0.0.2:5000", &record.Registry{Address: "0.0.0.0:5000"}, "10.0.0.1:5000/p"},
		{"where oci-push sent it", "", "10.0.0.2:5000/p", &record.Registry{Address: "0.0.0.0:5000"}, "10.0.0.2:5000/p"},
		{"pushed to localhost, served everywhere", "", "localhost:5000/p", &record.Registry{Address: "[::]:5000"}, "192.0.2.7:5000/p"},
		{"served everywhere", "", "", &record.Registry{Address: "0.0.0.0:5001"}, "192.0.2.7:5001"},
		{"served on one address", "", "", &record.Registry{Address: "10.0.0.3:5001"}, "10.0.0.3:5001"},
		{"pushed to localhost alone", "", "localhost:5000", nil, "localhost:5000"},
	}
	for _, tt := range tests {
		at, _ := ref.ParseSite(tt.at)
		i := &installer{cfg: &config{registry: tt.flag}, in: input{at: at, registry: tt.registry}}
		i.node.address = mustAddr("192.0.2.7")
		if got, err := i.registryAddress(); err != nil || got != tt.want {
			t.Errorf("%s: %q, %v, want %q", tt.name, got, err, tt.want)
		}
	}
}

func TestNotARecord(t *testing.T) {
	h, s := testHost(t), aSite(t)
	r := try(t, h, "{\"kind\":\"x\"}\nhello\n", s.args()...)
	if !errors.Is(r.err, record.ErrNotRecord) || !strings.HasPrefix(r.err.Error(), "stdin: line 2: ") {
		t.Errorf("%v, want the line to be named", r.err)
	}
}
