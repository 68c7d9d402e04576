package main

import (
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

// findK0s asks whether the registry serves k0s, as oci-serve does: at /k0s/ it
// lists the files, and names the same list over plain HTTP if there is one. Other
// servers may have any page there.
func (i *installer) findK0s(ctx context.Context, r *release) {
	warn := func(format string, args ...any) {
		r.k0sFinding = record.Finding{Check: "k0s-url", Status: record.StatusWarning, Detail: fmt.Sprintf(format, args...)}
	}
	const elsewhere = "child clusters will look for k0s at the vendor's site; --k0s-url names another place"
	page, err := i.site.reg.Page(ctx, "/k0s/")
	if err != nil {
		warn("cannot determine whether the registry serves k0s (%v): %s", err, elsewhere)
		return
	}
	files := strings.Fields(string(page.Body))
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
		warn("child clusters will look for k0s at %s, where nothing is yet", r.site.K0sURL)
	}
}

// distrust has child clusters download k0s over plain HTTP if the release installs
// the registry's authority in a way that machines of the RHEL family do not have, and
// if the registry serves k0s so. Everything else keeps to TLS.
func (i *installer) distrust(ctx context.Context, r *release) error {
	own, _ := r.user["controller"].(map[string]any)
	if _, given := own["globalK0sURL"]; given || r.site.CASecret == "" || len(r.k0sFiles) == 0 {
		return nil
	}
	count, why, err := r.chart.Distrustful(ctx, r.values, r.site, i.site)
	if err != nil || count == 0 {
		return err
	}
	r.k0sFinding = record.Finding{Check: "k0s-url", Status: record.StatusWarning, Detail: fmt.Sprintf(
		"curl on machines of the RHEL family does not trust %s, from which %s of this release download k0s: %s",
		r.site.K0sURL, step.Count(count, "cluster template", "cluster templates"), why)}
	f := &r.k0sFinding
	if r.plainK0s == "" {
		f.Remedy = "serve k0s over plain HTTP as well (oci-serve --files-http [HOST]:PORT) and run the same command again, or use machines of the Debian family"
		return nil
	}
	if err := i.servesK0s(ctx, r); err != nil {
		f.Detail += fmt.Sprintf("; it is not at %s, over plain HTTP, either: %v", r.plainK0s, err)
		f.Remedy = "open that port for this host and for machines, and run the same command again"
		return context.Cause(ctx)
	}
	f.Detail += fmt.Sprintf("; all machines will download it from %s, unencrypted (images of machines must still have the authority for containerd)", r.plainK0s)
	f.Remedy = "use --k0s-url " + r.site.K0sURL + " to stay with TLS"
	r.site.K0sURL = r.plainK0s
	return r.derive(ctx, i.site)
}

// plainAnswer is how long the first answer over plain HTTP may take.
const plainAnswer = 10 * time.Second

// servesK0s returns an error unless all files of k0s are served over plain HTTP.
func (i *installer) servesK0s(ctx context.Context, r *release) error {
	ctx, cancel := context.WithTimeoutCause(ctx, plainAnswer, fmt.Errorf("no answer within %v", plainAnswer))
	defer cancel()
	for _, file := range r.k0sFiles {
		found, err := i.site.reg.Has(ctx, r.plainK0s+"/"+file)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			return err
		}
		if !found {
			return fmt.Errorf("%s: %w", file, chart.ErrNotFound)
		}
	}
	return nil
}
