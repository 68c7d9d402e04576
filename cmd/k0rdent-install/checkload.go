package main

import (
	"context"
	"strconv"

	"k0rdent-airgap/cmd/k0rdent-install/chart"
	"k0rdent-airgap/lib/k0s"
	"k0rdent-airgap/lib/record"
)

// enoughMemory is what k0rdent's documentation asks for, 8 GB: a machine shows a
// little less than it was given.
const enoughMemory = 8_000_000_000 * 9 / 10

// checkLoad compares what the platform's pods request with what a node has for
// them. One that does not fit stays Pending, and the platform never gets ready.
func (i *installer) checkLoad(ctx context.Context) {
	where, have := "the cluster", chart.Requests{}
	switch {
	case i.cluster != nil:
		cpu, memory, err := i.cluster.Capacity(ctx)
		if err != nil {
			i.Warn("cpu", "the capacity of the cluster's nodes is unknown: %v", err)
			return
		}
		have = chart.Requests{CPU: cpu, Memory: memory}
	case i.foreign():
		return // checkCluster reports that it does not answer
	default: // this host will be the cluster
		memory, err := k0s.Memory(i.host.proc)
		cpus := k0s.CPUs(i.host.proc)
		if err != nil || cpus == 0 {
			return // k0s-up reports it
		}
		if memory < enoughMemory {
			i.Warn("memory", "%s; k0rdent's documentation asks for 8 GB", record.Bytes(memory))
		}
		where = "this host"
		have = chart.Requests{CPU: cpus*1000 - k0s.OwnCPU, Memory: memory - k0s.OwnMemory}
	}
	d := i.demand
	i.Note("%s CPUs and %s requested", cpus(d.CPU), record.Bytes(d.Memory))
	i.checkFit("cpu", where, d.CPU, d.Surge.CPU, have.CPU, func(n int64) string { return cpus(n) + " CPUs" })
	i.checkFit("memory", where, d.Memory, d.Surge.Memory, have.Memory, record.Bytes)
}

// checkFit compares one kind of request.
func (i *installer) checkFit(check, where string, need, surge, have int64, show func(int64) string) {
	hint := "add CPUs or a worker, or enable fewer providers"
	if check == "memory" {
		hint = "add memory or a worker, or enable fewer providers"
	}
	const format = "the platform's pods request %s, and %s has %s for them"
	switch {
	case need > have:
		i.Fail(check, hint, format, show(need), where, show(max(0, have)))
	case need+surge > have && i.cfg.upgrade:
		i.Fail(check, hint, format+": an update of %s needs %s more", show(need), where, show(have), i.demand.Largest, show(surge))
	case need+surge > have:
		i.Warn(check, format+": a later update of %s needs %s more", show(need), where, show(have), i.demand.Largest, show(surge))
	}
}

// cpus shows thousandths of a CPU.
func cpus(n int64) string { return strconv.FormatFloat(float64(n)/1000, 'f', -1, 64) }
