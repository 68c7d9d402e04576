package client

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// This file turns errors of connections into ones that name the culprit: the
// registry, a proxy, or another host that the registry redirected us to.

// noAnswer is a request that was not answered in time.
type noAnswer struct {
	after     time.Duration
	connected bool // something had accepted the connection
}

func (e *noAnswer) Error() string {
	if !e.connected {
		return fmt.Sprintf("no connection within %v", e.after)
	}
	return fmt.Sprintf("no answer within %v", e.after)
}
func (e *noAnswer) Timeout() bool { return true }

// proxyError is a proxy that could not be reached or that refused the request.
type proxyError struct {
	proxy  string        // HOST:PORT, or "" if no variable names one
	status int           // of its answer; 0 if it was not reached
	after  time.Duration // the answer's Retry-After
	err    error         // if it was not reached
}

func (e *proxyError) Error() string {
	who := "proxy " + e.proxy
	if e.proxy == "" {
		who = "a proxy"
	}
	if e.status != 0 {
		return fmt.Sprintf("%s answered %d %s", who, e.status, http.StatusText(e.status))
	}
	return fmt.Sprintf("%s: %v", who, e.err)
}

func (e *proxyError) Unwrap() error { return e.err }

// elsewhere is an error at a host that the registry redirected us to.
type elsewhere struct {
	how  string // such as "redirects to"
	host string
	err  error
}

func (e *elsewhere) Error() string {
	return fmt.Sprintf("the registry %s %s: %v", e.how, e.host, e.err)
}
func (e *elsewhere) Unwrap() error { return e.err }

// certificateError is a certificate that was not accepted.
type certificateError struct {
	text   string
	remedy remedy
	err    error
}

func (e *certificateError) Error() string { return e.text }
func (e *certificateError) Unwrap() error { return e.err }

// proxyOf returns the proxy for a request, according to the environment.
func proxyOf(req *http.Request) (*url.URL, error) { return http.ProxyFromEnvironment(req) }

// refusedTunnel makes the error of a refused CONNECT name the proxy.
func refusedTunnel(_ context.Context, proxy *url.URL, _ *http.Request, resp *http.Response) error {
	if resp.StatusCode == http.StatusOK {
		return nil
	}
	return &proxyError{proxy: proxy.Host, status: resp.StatusCode, after: retryAfter(resp.Header)}
}

// proxyAnswer returns an error for an answer of a proxy itself: 407, and pages
// if the environment names a proxy. An answer to an HTTPS request has already
// passed the proxy.
func proxyAnswer(resp *http.Response) error {
	e := &proxyError{status: resp.StatusCode, after: retryAfter(resp.Header)}
	if resp.Request != nil && resp.Request.URL.Scheme == "http" {
		if proxy, _ := proxyOf(resp.Request); proxy != nil {
			e.proxy = proxy.Host
		}
	}
	ours := e.status == http.StatusProxyAuthRequired || e.proxy != "" && e.status >= http.StatusBadRequest && isPage(resp)
	if !ours {
		return nil
	}
	resp.Body.Close()
	return e
}

// blame returns an error of a request that names its culprit.
func (g *guard) blame(req *http.Request, err error) error {
	if _, ok := errors.AsType[*proxyError](err); ok {
		return err
	}
	err = g.ofCertificate(req.URL.Hostname(), err)
	if proxy, _ := proxyOf(req); proxy != nil && unreachable(err) {
		if op, ok := errors.AsType[*net.OpError](err); ok {
			err = innermost(op)
		}
		return &proxyError{proxy: proxy.Host, err: err}
	}
	if req.URL.Host == g.host {
		return err
	}
	how := "sends uploads (in a Location header) to"
	switch {
	case req.Response != nil:
		how = "redirects to"
	case !strings.HasPrefix(req.URL.Path, "/v2/") && req.Method != http.MethodPut && req.Method != http.MethodPatch:
		how = "sends its clients for a login to"
	}
	return &elsewhere{how, cmp.Or(req.URL.Host, clip(req.URL.Scheme+"://"+req.URL.Path)), err}
}

// innermost returns the cause of a connection error, without the addresses that
// each layer adds.
func innermost(op *net.OpError) error {
	for {
		inner, ok := op.Err.(*net.OpError)
		if !ok {
			return op.Err
		}
		op = inner
	}
}

// ofCertificate explains why a certificate was not accepted.
func (g *guard) ofCertificate(host string, err error) error {
	var cert *x509.Certificate
	if e, ok := errors.AsType[*tls.CertificateVerificationError](err); ok && len(e.UnverifiedCertificates) > 0 {
		cert = e.UnverifiedCertificates[0]
	}
	if e, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		out := &certificateError{"its certificate is signed by an unknown authority", remedyAuthority, err}
		if g.caFile != "" {
			out.text, out.remedy = fmt.Sprintf("the authority in %s did not sign its certificate", g.caFile), remedyOtherAuthority
		}
		if cert = firstOf(cert, e.Cert); cert != nil {
			out.text += fmt.Sprintf(" (issued by %q)", clip(cert.Issuer.String()))
		}
		return out
	}
	if e, ok := errors.AsType[x509.HostnameError](err); ok && e.Certificate != nil {
		return &certificateError{fmt.Sprintf("its certificate is for %s, not for %s", namesIn(e.Certificate), host), remedyName, err}
	}
	if e, ok := errors.AsType[x509.CertificateInvalidError](err); ok && e.Reason == x509.Expired && e.Cert != nil {
		what := "its certificate"
		if cert != nil && !cert.Equal(e.Cert) {
			what = fmt.Sprintf("the certificate of its authority %q", clip(e.Cert.Subject.String()))
		}
		if time.Now().Before(e.Cert.NotBefore) {
			return &certificateError{fmt.Sprintf("%s is not valid before %s", what, stamp(e.Cert.NotBefore)), remedyClock, err}
		}
		return &certificateError{fmt.Sprintf("%s expired on %s", what, stamp(e.Cert.NotAfter)), remedyClock, err}
	}
	return err
}

func firstOf(certs ...*x509.Certificate) *x509.Certificate {
	for _, c := range certs {
		if c != nil {
			return c
		}
	}
	return nil
}

// namesIn lists the names that a certificate is for.
func namesIn(c *x509.Certificate) string {
	all := append([]string(nil), c.DNSNames...)
	for _, ip := range c.IPAddresses {
		all = append(all, ip.String())
	}
	if len(all) == 0 {
		return "no name at all"
	}
	return clip(strings.Join(all, ", "))
}
