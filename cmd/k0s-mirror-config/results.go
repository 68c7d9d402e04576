package main

import (
	"time"

	"k0rdent-airgap/lib/record"
)

// results writes the record of each item, and counts them.
type results struct {
	out   *record.Writer
	start time.Time
	sum   record.Summary
}

func newResults(out *record.Writer) *results {
	return &results{out: out, start: time.Now(), sum: record.Summary{Tool: "k0s-mirror-config", Counts: make(map[string]int)}}
}

func (r *results) file(f record.File) error {
	r.sum.Counts[f.Status]++
	if f.Status == record.StatusWritten {
		r.sum.Bytes += f.Size
	}
	return r.out.Write(f)
}

func (r *results) image(i record.Image) error {
	r.sum.Counts[i.Status]++
	return r.out.Write(i)
}

// close writes the summary, unless there is nothing to sum up.
func (r *results) close() error {
	if len(r.sum.Counts) == 0 {
		return nil
	}
	r.sum.Seconds = record.Seconds(time.Since(r.start))
	return r.out.Write(r.sum)
}
