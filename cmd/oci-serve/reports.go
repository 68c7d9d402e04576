package main

import (
	"context"
	"log/slog"
	"net/url"
	"strings"
	"sync"
	"time"
)

const (
	// reportEvery is how often the repetitions of a report are logged.
	reportEvery = time.Minute
	// maxReports bounds the different reports that are remembered. Beyond it,
	// those of further clients are counted together.
	maxReports = 256
)

// reports logs problems with clients: each at once when it is new, and how often
// it was repeated once a minute. A client that retries without end, or many
// strangers, cannot flood the log.
type reports struct {
	log *slog.Logger

	mu      sync.Mutex
	repeats map[report]int // since the last line
}

// report is one problem with one client.
type report struct{ client, problem, user string }

func newReports(log *slog.Logger) *reports {
	return &reports{log: log, repeats: make(map[report]int)}
}

// add logs a problem or counts its repetition. The line is the client's address
// and the problem.
func (r *reports) add(client, problem, user string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	what := report{client, problem, user}
	if _, known := r.repeats[what]; !known && len(r.repeats) >= maxReports {
		what = report{"other clients", problem, ""}
	}
	if n, known := r.repeats[what]; known {
		r.repeats[what] = n + 1
		return
	}
	r.repeats[what] = 0
	r.write(what)
}

// write logs a report with further attributes.
func (r *reports) write(what report, more ...any) {
	attrs := []any{"client", what.client}
	if what.user != "" {
		attrs = append(attrs, "user", what.user)
	}
	r.log.Warn(what.client+what.problem, append(attrs, more...)...)
}

// flush logs how often each problem was repeated, and forgets those that were not.
func (r *reports) flush() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for what, n := range r.repeats {
		if n == 0 {
			delete(r.repeats, what)
			continue
		}
		r.repeats[what] = 0
		r.write(what, "repeated", n)
	}
}

// run flushes once a minute until ctx ends.
func (r *reports) run(ctx context.Context) {
	tick := time.NewTicker(reportEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			r.flush()
		case <-ctx.Done():
			return
		}
	}
}

// serverLog is the ErrorLog of an http.Server: it explains failed handshakes and
// logs the rest as information.
type serverLog struct {
	reports *reports
	ownCA   bool // the registry has a certificate authority of its own
}

// Write is of io.Writer; net/http writes one message at a time.
func (s *serverLog) Write(line []byte) (int, error) {
	text := strings.TrimSpace(string(line))
	if failed, ok := strings.CutPrefix(text, "http: TLS handshake error from "); ok {
		if address, reason, ok := strings.Cut(failed, ": "); ok {
			if problem := s.problem(reason); problem != "" {
				s.reports.add(withoutPort(address), problem, "")
				return len(line), nil
			}
		}
	}
	s.reports.log.Info(text)
	return len(line), nil
}

// problem returns what a client did in a handshake that failed, and what helps,
// or "" if that is not known. Go's clients send "bad certificate" whatever they
// reject; OpenSSL's send "unknown certificate authority" if it is that, but with
// TLS 1.3 do so unencrypted, which counts as a bad record.
func (s *serverLog) problem(reason string) string {
	trust := "give it the certificate of the authority that issued the one of --tls-cert"
	if s.ownCA {
		trust = "give it /ca.pem, see CLIENTS in oci-serve(8)"
	}
	switch {
	case strings.Contains(reason, "client sent an HTTP request to an HTTPS server"):
		return " sent plain HTTP to this HTTPS port; use https://, or remove --plain-http, --insecure or the like from the client's settings"
	case strings.Contains(reason, "remote error: tls: unknown certificate authority"):
		return " does not trust this registry's CA; " + trust
	case strings.Contains(reason, "remote error: tls: bad certificate"), strings.Contains(reason, "remote error: tls: unknown certificate"),
		strings.Contains(reason, "local error: tls: bad record MAC"):
		return " rejects this registry's certificate: it does not trust the CA (" + trust + "), or uses a name that the certificate does not have (add it with --tls-name)"
	case strings.Contains(reason, "remote error: tls: expired certificate"):
		return " takes this registry's certificate for expired; compare the clocks of both hosts"
	case strings.Contains(reason, "client offered only unsupported versions"), strings.Contains(reason, "no cipher suite supported by both"):
		return " supports neither TLS 1.2 with AES-GCM or ChaCha20 nor TLS 1.3; update it"
	case strings.Contains(reason, "first record does not look like a TLS handshake"):
		return " sent something that is neither TLS nor HTTP"
	}
	return ""
}

// withoutPort returns the host of an address, without brackets.
func withoutPort(address string) string { return (&url.URL{Host: address}).Hostname() }
