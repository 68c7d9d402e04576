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
	r := try(t, h, `{"kind":"bundle","path":"/b.tgz","signature":"bad"}`+"\n", s.args()...)
	if !errors.Is(r.Err, pipe.ErrBadSignature) || cli.Code(r.Err) != cli.CodeFailed || r.Steps() != "" {
		t.Errorf("%v with code %d and steps %q, want nothing done", r.Err, cli.Code(r.Err), r.Steps())
	}
}

func TestRecordsFillInTheFlags(t *testing.T) {
	h, s := testHost(t), aSite(t)
	stdin := `{"kind":"version","name":"k0rdent-enterprise","version":"1.2.3"}
{"kind":"image","repository":"a","registry":"` + s.At + `","status":"exists"}
{"kind":"unknown","x":1}
{"kind":"registry","address":"` + s.At + `","ca":"` + s.CA + `"}
`
	r := try(t, h, stdin, "--ignore", "disk,loopback", "--plan")
	if r.Err != nil {
		t.Fatalf("%v\n%s", r.Err, r.Stderr)
	}
	if !strings.HasPrefix(r.Stdout, stdin) {
		t.Errorf("records were not passed on as they came:\n%s", r.Stdout)
	}
	if !strings.Contains(r.Step("preflight").Detail, "k0rdent-enterprise 1.2.3") {
		t.Errorf("preflight %+v", r.Step("preflight"))
	}
}

// TestInterruptWhileReading interrupts a run whose stdin never ends.
func TestInterruptWhileReading(t *testing.T) {
	clitest.InterruptReading(t, func(ctx context.Context, stdin io.Reader) error {
		return runOn(ctx, testHost(t), []string{"--registry", "h:1"}, stdin, io.Discard, io.Discard)
	})
}

// TestFailedHost installs nothing if k0s-up has failed.
func TestFailedHost(t *testing.T) {
	h, s := testHost(t), aSite(t)
	for _, args := range [][]string{s.args(), s.args("--plan")} {
		r := try(t, h, `{"kind":"step","name":"k0s-ready","status":"failed"}`+"\n", args...)
		if cli.Code(r.Err) != cli.CodeFailed || !strings.Contains(r.Err.Error(), "an earlier tool in the pipe failed at step k0s-ready") || strings.Contains(r.Stdout, "preflight") {
			t.Errorf("%v\n%s", r.Err, r.Stdout)
		}
	}
}

func TestNotARecord(t *testing.T) {
	h, s := testHost(t), aSite(t)
	r := try(t, h, "{\"kind\":\"x\"}\nhello\n", s.args()...)
	if !errors.Is(r.Err, record.ErrNotRecord) || !strings.HasPrefix(r.Err.Error(), "stdin: line 2: ") {
		t.Errorf("%v, want an error with the line", r.Err)
	}
}
