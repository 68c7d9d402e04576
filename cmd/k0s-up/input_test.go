package main

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/pipe"
	"k0rdent-airgap/lib/record"
	"k0rdent-airgap/tests/clitest"
)

func TestBadSignatureStops(t *testing.T) {
	h, s := testHost(t), aSite(t)
	before := tree(t, h.root)
	r := try(t, h, `{"kind":"bundle","path":"/b.tgz","signature":"bad"}`+"\n", s.args()...)
	if !errors.Is(r.Err, pipe.ErrBadSignature) || cli.Code(r.Err) != cli.CodeFailed || r.Steps() != "" {
		t.Errorf("%v with code %d and steps %q, want nothing done", r.Err, cli.Code(r.Err), r.Steps())
	}
	if tree(t, h.root) != before || len(k0sCalls(t, h)) > 0 {
		t.Error("the host was changed")
	}
}

// TestRecordsFillInTheFlags also checks that records are passed on, followed by the
// cluster record.
func TestRecordsFillInTheFlags(t *testing.T) {
	h, s := testHost(t), aSite(t)
	mirrored(t, h, s)
	stdin := `{"kind":"image","repository":"a","registry":"` + s.At + `","status":"exists"}
{"kind":"unknown","x":1}
{"kind":"registry","address":"` + s.At + `","ca":"` + s.CA + `"}
`
	r := try(t, h, stdin, "--ignore", "loopback", "--plan")
	if r.Err != nil {
		t.Fatalf("%v\n%s", r.Err, r.Stderr)
	}
	if !strings.HasPrefix(r.Stdout, stdin) {
		t.Errorf("records were not passed on as they came:\n%s", r.Stdout)
	}
	clusters := clitest.Records[record.Cluster](r)
	want := record.Cluster{Kubeconfig: h.data + "/pki/admin.conf", K0s: "v1.32.8+k0s.0", Kubernetes: "v1.32.8", Status: record.StatusPlanned}
	if len(clusters) != 1 || clusters[0].Node == "" || clusters[0].Address == "" {
		t.Fatalf("clusters %+v", clusters)
	}
	if want.Node, want.Address = clusters[0].Node, clusters[0].Address; clusters[0] != want {
		t.Errorf("cluster %+v, want %+v", clusters[0], want)
	}
}

// TestInterruptWhileReading interrupts a run whose stdin never ends.
func TestInterruptWhileReading(t *testing.T) {
	clitest.InterruptReading(t, func(ctx context.Context, stdin io.Reader) error {
		return runOn(ctx, testHost(t), []string{"--registry", "h:1"}, stdin, io.Discard, io.Discard)
	})
}
