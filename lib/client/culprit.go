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
	"slices"
	"strings"
	"time"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/ref"
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
func proxyAnswer(req *http.Request, resp *http.Response) error {
	e := &proxyError{status: resp.StatusCode, after: retryAfter(resp.Header)}
	if proxy, _ := proxyOf(req); proxy != nil && req.URL.Scheme == "http" {
		e.proxy = proxy.Host
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
	hint := "a registry behind a proxy must know its own address: make the proxy pass Host and X-Forwarded-Proto, or set the registry's external URL"
	how := "sends uploads (in a Location header) to"
	switch {
	case req.Response != nil:
		how = "redirects to"
		hint = "if that is the registry, use its address instead; otherwise allow this host to reach it"
	case !strings.HasPrefix(req.URL.Path, "/v2/") && req.Method != http.MethodPut && req.Method != http.MethodPatch:
		how = "sends its clients for a login to"
	}
	host := cmp.Or(req.URL.Host, clip(req.URL.Scheme+"://"+req.URL.Path))
	return cli.Hint(markf(errElsewhere, err, "the registry %s %s: %v", how, host, err), "%s", cmp.Or(cli.HintOf(err), hint))
}

// innermost returns the cause of a connection error, without the addresses that
// each layer adds.
func innermost(op *net.OpError) error {
	if inner, ok := op.Err.(*net.OpError); ok {
		return innermost(inner)
	}
	return op.Err
}

// ofCertificate explains why a certificate was not accepted.
func (g *guard) ofCertificate(host string, err error) error {
	var cert *x509.Certificate
	if e, ok := errors.AsType[*tls.CertificateVerificationError](err); ok && len(e.UnverifiedCertificates) > 0 {
		cert = e.UnverifiedCertificates[0]
	}
	if e, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		issuer := ""
		if cert = cmp.Or(cert, e.Cert); cert != nil {
			issuer = fmt.Sprintf(" (issued by %q)", clip(cert.Issuer.String()))
		}
		if g.o.CAFile != "" {
			return cli.Hint(markf(errCertificate, err, "the authority in %s did not sign its certificate%s", g.o.CAFile, issuer),
				"copy the authority from the registry's host again; oci-serve keeps its own in STORAGE/tls/ca.pem")
		}
		return advise(markf(errCertificate, err, "its certificate is signed by an unknown authority%s", issuer),
			"give the registry's certificate authority with %s FILE; oci-serve keeps its own in STORAGE/tls/ca.pem", g.o.Names.CA)
	}
	if e, ok := errors.AsType[x509.HostnameError](err); ok && e.Certificate != nil {
		return cli.Hint(markf(errCertificate, err, "its certificate is for %s, not for %s", namesIn(e.Certificate), host),
			"use a name that is in the registry's certificate, or add this one: oci-serve --tls auto --tls-name %s", ref.Hostname(g.host))
	}
	if e, ok := errors.AsType[x509.CertificateInvalidError](err); ok && e.Reason == x509.Expired && e.Cert != nil {
		now := time.Now()
		what, how, when := "its certificate", "expired on", e.Cert.NotAfter
		if cert != nil && !cert.Equal(e.Cert) {
			what = fmt.Sprintf("the certificate of its authority %q", clip(e.Cert.Subject.String()))
		}
		if now.Before(e.Cert.NotBefore) {
			how, when = "is not valid before", e.Cert.NotBefore
		}
		return cli.Hint(markf(errCertificate, err, "%s %s %s", what, how, stamp(when)),
			`this host's clock reads %s: if that is wrong, set it ("timedatectl"); otherwise renew the certificate`, stamp(now))
	}
	return err
}

// namesIn lists the names that a certificate is for.
func namesIn(c *x509.Certificate) string {
	all := slices.Clone(c.DNSNames)
	for _, ip := range c.IPAddresses {
		all = append(all, ip.String())
	}
	if len(all) == 0 {
		return "no name at all"
	}
	return clip(strings.Join(all, ", "))
}
