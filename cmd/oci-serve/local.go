package main

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"os/user"
	"strconv"
	"strings"

	"k0rdent-airgap/lib/registry"
)

// deny returns a refusal whose message names who is allowed.
func deny(format string, args ...any) error {
	return fmt.Errorf("%w: %s", registry.ErrDenied, fmt.Sprintf(format, args...))
}

// fromOwner refuses a request unless root or the user that this process runs as
// sent it from this host.
func fromOwner(r *http.Request) error {
	p, self := peerOf(r), uint32(os.Geteuid())
	allowed := "only root may push"
	if self != 0 {
		allowed = fmt.Sprintf("only root and the user %s may push", userName(self))
	}
	if !p.here() {
		return deny("%s, and on this registry's own host; push there, or let users log in: oci-serve --write auth", allowed)
	}
	const change = "push as root, or start oci-serve with --write loopback or auth"
	uid, err := p.uid()
	switch {
	case err != nil && !errors.Is(err, errNoOwner):
		return fmt.Errorf("the user at the other end: %w", err) // the client may retry
	case err != nil:
		return deny("%s, and %v; %s", allowed, err, change)
	case uid != 0 && uid != self:
		return deny("%s, and this is %s; %s", allowed, userName(uid), change)
	}
	return nil
}

// userName returns the name of a user, or the number if there is none.
func userName(uid uint32) string {
	number := strconv.FormatUint(uint64(uid), 10)
	if u, err := user.LookupId(number); err == nil {
		return u.Username
	}
	return number
}

// refuseBrowser refuses requests that a web page may have caused. Registry clients
// never send the headers that name a page.
//
// If the origin of a request alone allows writing, no page may write: after DNS
// rebinding, a foreign page has the registry's origin, but a host name that is not
// the registry's.
func (g *guard) refuseBrowser(r *http.Request) error {
	if g.write != "owner" && g.write != "loopback" {
		if err := http.NewCrossOriginProtection().Check(r); err != nil {
			return deny("a web page of another site may not write here")
		}
		return nil
	}
	if r.Header["Origin"] != nil || r.Header["Sec-Fetch-Site"] != nil {
		return deny("a web page may not write here")
	}
	if !g.knows(r.Host) {
		return deny("%q is not known to be a name of this registry; push to localhost or to an address, or add the name with --tls auto --tls-name", r.Host)
	}
	return nil
}

// knows reports whether a request's Host cannot be another site's: it is an
// address, or a name of the registry. Clients that send none are not browsers.
func (g *guard) knows(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(withoutPort(host), "."))
	if _, err := netip.ParseAddr(host); err == nil {
		return true
	}
	if host == "" || host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	if own, err := os.Hostname(); err == nil && strings.EqualFold(own, host) {
		return true
	}
	return g.names != nil && g.names(host)
}
