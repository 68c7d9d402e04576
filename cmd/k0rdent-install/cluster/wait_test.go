package cluster

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestWaitAPI returns an error with the failing checks.
func TestWaitAPI(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		f.readyz = "[+]ping ok\n[-]etcd failed: reason withheld\nreadyz check failed\n"
		short, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := f.WaitAPI(short); err == nil || err.Error() != "api server: not ready after 1m0s: failing checks: etcd" {
			t.Errorf("error = %v, want that etcd fails", err)
		}
		if problems := f.Explain(t.Context()); len(problems) != 1 || !strings.Contains(problems[0].String(), "failing checks: etcd") {
			t.Errorf("problems = %v, want the API server's alone", problems)
		}
		f.readyz = ""
		if err := f.WaitAPI(t.Context()); err != nil {
			t.Error(err)
		}
	})
}
