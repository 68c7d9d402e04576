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

// TestRecordsFillInTheFlags, and are passed on; the cluster's own comes with
// them.
func TestRecordsFillInTheFlags(t *testing.T) {
	h, s := testHost(t), aSite(t)
	mirrored(t, h, s)
	stdin := `{"kind":"image","repository":"a","registry":"` + s.at + `","status":"exists"}
{"kind":"unknown","x":1}
{"kind":"registry","address":"` + s.at + `","ca":"` + s.ca + `"}
`
	r := try(t, h, stdin, "--ignore", "loopback", "--plan")
	if r.err != nil {
		t.Fatalf("%v\n%s", r.err, r.stderr)
	}
	if !strings.HasPrefix(r.stdout, stdin) {
		t.Errorf("records were not passed on as they came:\n%s", r.stdout)
	}
	clusters := records[record.Cluster](r, "cluster")
	want := record.Cluster{Kubeconfig: h.data + "/pki/admin.conf", K0s: "v1.32.8+k0s.0", Kubernetes: "v1.32.8", Status: record.StatusPlanned}
	if len(clusters) != 1 || clusters[0].Node == "" || clusters[0].Address == "" {
		t.Fatalf("clusters %+v", clusters)
	}
	if want.Node, want.Address = clusters[0].Node, clusters[0].Address; clusters[0] != want {
		t.Errorf("cluster %+v, want %+v", clusters[0], want)
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
