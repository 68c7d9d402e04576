package main

import (
	"fmt"
	"net/netip"

	"k0rdent-airgap/lib/record"
)

// startup returns what a person learns at startup: the address, and who may use
// it.
func startup(cfg config, where record.Registry) record.Sentence {
	at := where.URL
	if a, err := netip.ParseAddrPort(where.Address); err == nil && a.Addr().IsUnspecified() {
		at += " (all addresses)"
	}
	users := "users of " + cfg.htpasswd
	pull := map[string]string{"any": "anyone", "auth": users}[cfg.read]
	push := map[string]string{
		"owner": "only root and this user may push, from this host", "loopback": "only users of this host may push",
		"auth": users + " may push", "any": "anyone may push", "none": "nobody may push",
	}[cfg.write]
	return record.Sentence(fmt.Sprintf("oci-serve: serving %s at %s; %s may pull, %s. ^C stops it.", where.Storage, at, pull, push))
}
