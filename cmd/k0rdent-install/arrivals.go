package main

import (
	"fmt"

	"k0rdent-airgap/lib/record"
)

// pushRecords holds what records on stdin report about the push of the release.
type pushRecords struct {
	signature string // of the bundle, from bundle-verify
	push      *record.Summary
}

// take keeps a bundle record's signature and the summary of oci-push.
func (a *pushRecords) take(line record.Line) error {
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

// pushed returns lines of the report about the push, a name and a text each, or nil
// if there was no record of one.
func (i *installer) pushed() [][2]string {
	a := i.pushRecords
	if a.push == nil {
		return nil
	}
	release := "UNVERIFIED"
	if a.signature == record.SignatureGood {
		release = "signature verified"
	}
	if i.bundle != nil {
		release = i.bundle.Version + ", " + release
	}
	scheme := "https"
	if i.cfg.PlainHTTP {
		scheme = "http"
	}
	n := a.push.Counts[record.StatusPushed] + a.push.Counts[record.StatusExists]
	images := fmt.Sprintf("%d; the registry already had all of them", n)
	if a.push.Bytes > 0 {
		images = fmt.Sprintf("%d; the last push sent %s", n, record.Bytes(a.push.Bytes))
	}
	return [][2]string{{"release", release}, {"registry", scheme + "://" + i.site.at}, {"pushed", images}}
}
