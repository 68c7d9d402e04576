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
	r := try(t, h, `{"kind":"bundle","path":"/b.tgz","signature":"bad"}`+"\n", s.args()...)
	if !errors.Is(r.err, pipe.ErrBadSignature) || cli.Code(r.err) != cli.CodeFailed || r.steps() != "" {
		t.Errorf("%v with code %d and steps %q, want nothing done", r.err, cli.Code(r.err), r.steps())
	}
}

func TestRecordsFillInTheFlags(t *testing.T) {
	h, s := testHost(t), aSite(t)
	stdin := `{"kind":"version","name":"k0rdent-enterprise","version":"1.2.3"}
{"kind":"image","repository":"a","registry":"` + s.at + `","status":"exists"}
{"kind":"unknown","x":1}
{"kind":"registry","address":"` + s.at + `","ca":"` + s.ca + `"}
`
	r := try(t, h, stdin, "--ignore", "disk,loopback", "--plan")
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

// TestHostThatFailed: where k0s-up has failed, nothing is installed.
func TestHostThatFailed(t *testing.T) {
	h, s := testHost(t), aSite(t)
	for _, args := range [][]string{s.args(), s.args("--plan")} {
		r := try(t, h, `{"kind":"step","name":"k0s-ready","status":"failed"}`+"\n", args...)
		if cli.Code(r.err) != cli.CodeFailed || !strings.Contains(r.err.Error(), "step k0s-ready of a tool before this one failed") || strings.Contains(r.stdout, "preflight") {
			t.Errorf("%v\n%s", r.err, r.stdout)
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
