package main

import (
	"fmt"
	"strings"
	"testing"
)

func TestReportsAreCounted(t *testing.T) {
	var log strings.Builder
	r := newReports(newLog(&log, config{}))
	for range 3 {
		r.add("10.0.0.7", ": wrong user name or password", "alice")
	}
	r.add("10.0.0.8", ": wrong user name or password", "alice")
	r.flush()
	r.flush() // nothing since
	r.add("10.0.0.7", ": wrong user name or password", "alice")
	const want = `oci-serve: 10.0.0.7: wrong user name or password for alice
oci-serve: 10.0.0.8: wrong user name or password for alice
oci-serve: 10.0.0.7: wrong user name or password for alice; 2 more since
oci-serve: 10.0.0.7: wrong user name or password for alice
`
	if got := log.String(); got != want {
		t.Errorf("the log has\n%s\nwant\n%s", got, want)
	}
}

func TestReportsAreBounded(t *testing.T) {
	var log strings.Builder
	r := newReports(newLog(&log, config{}))
	for i := range 10 * maxReports {
		r.add(fmt.Sprint("client", i), " is strange", "")
	}
	if n := len(r.repeats); n > maxReports+1 {
		t.Errorf("%d reports are remembered, want at most %d", n, maxReports+1)
	}
	log.Reset()
	r.flush()
	if got, want := log.String(), fmt.Sprintf("oci-serve: other clients is strange; %d more since\n", 9*maxReports-1); got != want {
		t.Errorf("the log has %q, want %q", got, want)
	}
}

// What net/http logs of a handshake is explained; tests/serve-tls.bats has the
// clients that cause it.
func TestServerLog(t *testing.T) {
	for _, c := range []struct {
		line  string
		ownCA bool
		want  string
	}{
		{"http: TLS handshake error from 10.0.0.7:4711: remote error: tls: unknown certificate authority", true,
			"oci-serve: 10.0.0.7 does not trust this registry's CA; give it /ca.pem, see CLIENTS in oci-serve(8)\n"},
		{"http: TLS handshake error from [2001:db8::7]:4711: remote error: tls: unknown certificate authority", false,
			"oci-serve: 2001:db8::7 does not trust this registry's CA; give it the certificate of the authority that issued the one of --tls-cert\n"},
		{"http: TLS handshake error from 10.0.0.7:4711: remote error: tls: expired certificate", true,
			"oci-serve: 10.0.0.7 takes this registry's certificate for expired; compare the clocks of both hosts\n"},
		{"http: TLS handshake error from 10.0.0.7:4711: EOF", true, ""},
		{"http: something else", true, ""},
	} {
		var log strings.Builder
		s := &serverLog{newReports(newLog(&log, config{})), c.ownCA}
		if n, err := s.Write([]byte(c.line + "\n")); n != len(c.line)+1 || err != nil {
			t.Errorf("Write(%q) = %d, %v", c.line, n, err)
		}
		if log.String() != c.want {
			t.Errorf("%q is logged as %q, want %q", c.line, log.String(), c.want)
		}
	}
}
