package main

import (
	"fmt"

	"k0rdent-airgap/lib/record"
)

// arrivals is what records on stdin say about how the release came into the
// registry.
type arrivals struct {
	signature string // of the bundle, as bundle-verify found it
	push      *record.Summary
}

// take keeps what a record says; of other kinds, nothing.
func (a *arrivals) take(line record.Line) error {
	switch line.Kind {
	case record.Bundle{}.Kind():
		var b record.Bundle
		err := line.Decode(&b)
		a.signature = b.Signature
		return err
	case record.Summary{}.Kind():
		var s record.Summary
		if err := line.Decode(&s); err != nil || s.Tool != "oci-push" {
			return err
		}
		a.push = &s
	}
	return nil
}

// arrived reports them, a name and a text each; nothing where no push is known.
func (i *installer) arrived() [][2]string {
	a := i.arrivals
	if a.push == nil {
		return nil
	}
	release := "UNVERIFIED"
	if a.signature == record.SignatureGood {
		release = "as its vendor signed it"
	}
	if i.bundle != nil {
		release = i.bundle.Version + ", " + release
	}
	scheme := "https"
	if i.cfg.PlainHTTP {
		scheme = "http"
	}
	n := a.push.Counts[record.StatusPushed] + a.push.Counts[record.StatusExists]
	images := fmt.Sprintf("%d; all were there already", n)
	if a.push.Bytes > 0 {
		images = fmt.Sprintf("%d; the last push sent %s", n, record.Bytes(a.push.Bytes))
	}
	return [][2]string{{"release", release}, {"registry", scheme + "://" + i.site.at}, {"pushed", images}}
}
