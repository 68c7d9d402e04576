package main

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"k0rdent-airgap/cmd/k0rdent-install/chart"
	"k0rdent-airgap/lib/record"
	"k0rdent-airgap/lib/step"
)

// findK0s finds out whether the registry serves k0s, as oci-serve does: at /k0s/ it
// lists the files, and links to the same list over plain HTTP, if there is one. Other
// servers may return any page there.
func (i *installer) findK0s(ctx context.Context, r *release) {
	warn := func(format string, args ...any) {
		r.k0sFinding = record.Finding{Check: "k0s-url", Status: record.StatusWarning, Detail: fmt.Sprintf(format, args...)}
	}
	const elsewhere = "child clusters will download k0s from the vendor's site, unless --k0s-url is set"
	page, err := i.site.reg.Page(ctx, "/k0s/")
	if err != nil {
		warn("cannot determine whether the registry serves k0s (%v): %s", err, elsewhere)
		return
	}
	files := strings.Fields(string(page.Body))
	if page.Status == http.StatusUnauthorized || page.Status == http.StatusForbidden {
		r.site.K0sLogin = true
		warn("machines of child clusters cannot download k0s from the registry, which requires a login for it: %s", elsewhere)
		r.k0sFinding.Remedy = chart.OpenReading
		return
	}
	if page.Status != http.StatusOK || page.Type != "text/plain" || slices.ContainsFunc(files, func(l string) bool { return !strings.HasPrefix(l, "k0s-") }) {
		warn("%s", elsewhere)
		return
	}
	scheme := "https://"
	if i.cfg.PlainHTTP {
		scheme = "http://"
	}
	r.site.K0sURL, r.k0sFiles = scheme+i.site.host+"/k0s", files
	if strings.HasPrefix(page.Alternate, "http://") {
		r.plainK0s = strings.TrimSuffix(page.Alternate, "/")
	}
	if len(files) == 0 {
		warn("child clusters will download k0s from %s, which has no files yet", r.site.K0sURL)
	}
}

// avoidUntrusted makes child clusters download k0s over plain HTTP if the release
// installs the registry's authority with commands that machines of the RHEL family do
// not have, and if the registry serves k0s over plain HTTP. Everything else still uses
// TLS.
func (i *installer) avoidUntrusted(ctx context.Context, r *release) error {
	own, _ := r.user["controller"].(map[string]any)
	if _, given := own["globalK0sURL"]; given || r.site.CASecret == "" || len(r.k0sFiles) == 0 {
		return nil
	}
	count, reason, err := r.chart.CountUntrusting(ctx, r.values, r.site, i.site)
	if err != nil || count == 0 {
		return err
	}
	r.k0sFinding = record.Finding{Check: "k0s-url", Status: record.StatusWarning, Detail: fmt.Sprintf(
		"curl on machines of the RHEL family does not trust %s, from which %s of this release download k0s: %s",
		r.site.K0sURL, step.Count(count, "cluster template", "cluster templates"), reason)}
	f := &r.k0sFinding
	if r.plainK0s == "" {
		f.Remedy = "serve k0s over plain HTTP as well (oci-serve --files-http [HOST]:PORT), then run the same command again; or use machines of the Debian family"
		return nil
	}
	if err := i.servesK0s(ctx, r); err != nil {
		f.Detail += fmt.Sprintf("; %s does not serve it over plain HTTP either: %v", r.plainK0s, err)
		f.Remedy = "open that port for this host and for machines, then run the same command again"
		return context.Cause(ctx)
	}
	f.Detail += fmt.Sprintf("; all machines will download it from %s, unencrypted (machine images must still contain the authority for containerd)", r.plainK0s)
	f.Remedy = "set --k0s-url " + r.site.K0sURL + " to keep using TLS"
	r.site.K0sURL = r.plainK0s
	return r.derive(ctx, i.site)
}

// plainAnswer bounds the requests over plain HTTP.
const plainAnswer = 10 * time.Second

// servesK0s returns an error unless all files of k0s are served over plain HTTP.
func (i *installer) servesK0s(ctx context.Context, r *release) error {
	ctx, cancel := context.WithTimeoutCause(ctx, plainAnswer, fmt.Errorf("no answer within %v", plainAnswer))
	defer cancel()
	for _, file := range r.k0sFiles {
		if err := i.serves(ctx, r.plainK0s+"/"+file); err != nil {
			return cmp.Or(context.Cause(ctx), err)
		}
	}
	return nil
}

// serves returns an error unless machines, which have no login, can download a file.
func (i *installer) serves(ctx context.Context, address string) error {
	found, err := i.site.reg.Has(ctx, address)
	if err == nil && !found {
		err = fmt.Errorf("%s: %w", address, chart.ErrNotFound)
	}
	return err
}
