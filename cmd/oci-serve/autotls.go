package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"k0rdent-airgap/lib/hostfile"
)

// renewEvery is how often a certificate in use is checked: whether it expires
// soon, and whether this host has other addresses.
const renewEvery = time.Minute

// autoTLS serves a certificate of the registry's own authority.
type autoTLS struct {
	ca    *authority
	file  string   // of the certificate with its key
	fixed []string // names that were given or looked up at startup
	log   *slog.Logger
	now   func() time.Time

	mu      sync.Mutex
	looked  time.Time
	current *tls.Certificate
}

// newAutoTLS opens or creates everything in a directory below the storage. With
// constrain, a new authority can only sign for the names and addresses that the
// registry has now.
func newAutoTLS(ctx context.Context, storage string, extra []string, constrain bool, log *slog.Logger) (*autoTLS, error) {
	dir := filepath.Join(storage, "tls")
	if err := errors.Join(hostfile.MkdirAll(dir), hostfile.SyncDir(storage)); err != nil {
		return nil, err
	}
	fixed := hostNames(ctx)
	host := "unnamed"
	if len(fixed) > 0 {
		host = fixed[0]
	}
	fixed = append(fixed, extra...)
	var only names
	if constrain {
		var err error
		if only, err = localNames(fixed); err != nil {
			return nil, err
		}
	}
	now := time.Now()
	ca, err := openAuthority(dir, host, only, now)
	if err != nil {
		return nil, err
	}
	if now.Before(ca.cert.NotBefore) { // it is never made in advance
		log.Warn(fmt.Sprintf("%s is not valid before %s; clients will reject it, or the clock is wrong: it reads %s (set it with timedatectl)",
			filepath.Join(dir, "ca.pem"), ca.cert.NotBefore.UTC().Format(time.RFC3339), now.UTC().Format(time.RFC3339)))
	}
	if constrain && !constrained(ca.cert) {
		log.Warn(filepath.Join(dir, "ca.pem") + " was created without --tls-constrain and can sign for any server; to replace it, remove tls/ and distribute the new ca.pem to every client")
	}
	a := &autoTLS{ca: ca, file: filepath.Join(dir, "server.pem"), fixed: fixed, log: log, now: time.Now}
	// One that cannot be read, or was truncated, is created again.
	if pair, err := tls.LoadX509KeyPair(a.file, a.file); err == nil {
		a.current = &pair
	}
	if err := a.renew(a.now()); err != nil {
		if a.current == nil {
			return nil, err
		}
		log.Error("keeping the old certificate", "error", err) // on a read-only file system
	}
	return a, nil
}

// caFile returns the file that clients must trust.
func (a *autoTLS) caFile() string { return filepath.Join(filepath.Dir(a.file), "ca.pem") }

// get returns the certificate, renewed before it ends. If that fails, the old one
// is served on.
func (a *autoTLS) get() *tls.Certificate {
	a.mu.Lock()
	defer a.mu.Unlock()
	if now := a.now(); now.Sub(a.looked) >= renewEvery {
		if err := a.renew(now); err != nil {
			a.log.Error("keeping the old certificate", "error", err)
		}
	}
	return a.current
}

// renew issues a new certificate if the current one is no longer suitable. The
// caller holds a.mu, or is the only user of a.
func (a *autoTLS) renew(now time.Time) error {
	a.looked = now
	names, err := localNames(a.fixed)
	if err != nil {
		return err
	}
	names, foreign := permitted(a.ca.cert, names)
	if a.current != nil && a.serves(a.current.Leaf, names, now) {
		return nil
	}
	if len(foreign) > 0 {
		a.log.Warn("left out of the certificate, since ca.pem is constrained to other names: " + foreign.String())
	}
	text, err := a.ca.issue(names, now)
	if err != nil {
		return err
	}
	if _, err := hostfile.Put(a.file, 0o600, text); err != nil {
		return err
	}
	pair, err := tls.X509KeyPair(text, text)
	if err != nil {
		return err
	}
	a.current = &pair
	dns, ips := names.split()
	a.log.Info("issued a certificate", "dns", dns, "ip", ips, "until", pair.Leaf.NotAfter)
	return nil
}

// serves reports whether a certificate is the authority's, has exactly the names
// that are wanted, and has more than a third of its time left, or will end with
// the authority, so that another one would not be better.
func (a *autoTLS) serves(leaf *x509.Certificate, names names, now time.Time) bool {
	late := now.After(leaf.NotAfter.Add(-leafLife / 3))
	return leaf.CheckSignatureFrom(a.ca.cert) == nil && slices.Equal(namesOf(leaf), names) &&
		!now.Before(leaf.NotBefore) && (!late || leaf.NotAfter.Equal(a.ca.cert.NotAfter) && now.Before(leaf.NotAfter))
}
