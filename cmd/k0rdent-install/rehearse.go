package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"k0rdent-airgap/cmd/k0rdent-install/chart"
	"k0rdent-airgap/lib/record"
	"k0rdent-airgap/lib/step"
)

// rehearse checks, for each cluster template of the release, each family of Linux
// and each kind of access to the registry, whether machines will become nodes. It
// fails if a combination of this site fails.
func (i *installer) rehearse(ctx context.Context) error {
	if err := i.site.reg.Connect(ctx); err != nil {
		return fmt.Errorf("registry %s: %w", i.site.at, err)
	}
	if err := i.loadRelease(ctx); err != nil {
		return err
	}
	r := i.release
	cells, err := r.chart.Rehearse(ctx, r.values, r.site, i.site, i.hasK0s)
	if err != nil {
		return err
	}
	own := i.accesses()
	counts := map[string]int{}
	causes := map[chart.Problem]int{} // of this site's cells
	failed, total := 0, 0
	for _, c := range cells {
		f := finding(c)
		counts[f.Status]++
		if slices.Contains(own, c.Access) {
			total++
			for _, p := range c.Problems {
				causes[p]++
			}
			if len(c.Problems) > 0 {
				failed++
			}
		}
		if err := i.Out.Write(f); err != nil {
			return err
		}
	}
	if err := i.Out.Write(record.Summary{Tool: tool, Counts: counts, Seconds: record.Seconds(time.Since(i.Start))}); err != nil {
		return err
	}
	i.reportCauses(causes)
	if failed > 0 {
		return fmt.Errorf("%d of %s of this site (%s) failed", failed, step.Count(total, "combination", "combinations"), strings.Join(own, ", "))
	}
	return nil
}

// finding returns the record of a cell.
func finding(c chart.Cell) record.Finding {
	f := record.Finding{Check: "rehearse", Status: record.StatusOK, Subject: c.Template + " " + c.Family + " " + c.Access}
	var details, remedies []string
	switch {
	case len(c.Problems) > 0:
		f.Status = record.StatusFailed
	case len(c.Unknown) > 0:
		f.Status = record.StatusUnknown
	}
	for _, p := range slices.Concat(c.Problems, c.Unknown) {
		details = append(details, p.Text)
		if p.Remedy != "" && !slices.Contains(remedies, p.Remedy) {
			remedies = append(remedies, p.Remedy)
		}
	}
	f.Detail = strings.Join(details, "; ")
	f.Remedy = strings.Join(remedies, "; ")
	return f
}

// reportCauses prints each reason why cells of this site fail, once.
func (i *installer) reportCauses(causes map[chart.Problem]int) {
	byText := func(a, b chart.Problem) int { return strings.Compare(a.Text, b.Text) }
	for _, p := range slices.SortedFunc(maps.Keys(causes), byText) {
		i.Progress.Warn("rehearse: %s (%s)", p.Text, step.Count(causes[p], "combination", "combinations"))
		if p.Remedy != "" {
			i.Progress.Hint(p.Remedy)
		}
	}
}

// accesses returns the kinds of access that machines of this site have to its
// registry.
func (i *installer) accesses() []string {
	var own []string
	switch {
	case i.cfg.PlainHTTP:
		own = append(own, chart.PlainHTTP)
	case len(i.site.ca) > 0:
		own = append(own, chart.OwnCA)
	default:
		own = append(own, chart.PublicCA)
	}
	if i.cfg.Username != "" {
		own = append(own, chart.Login)
	}
	return own
}

// hasK0s returns an error unless machines can download a file of k0s.
func (i *installer) hasK0s(ctx context.Context, file string) error {
	return i.serves(ctx, strings.TrimSuffix(i.release.site.K0sURL, "/")+"/"+file)
}
