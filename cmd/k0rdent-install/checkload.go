package main

import (
	"context"
	"strconv"

	"k0rdent-airgap/cmd/k0rdent-install/chart"
	"k0rdent-airgap/lib/k0s"
	"k0rdent-airgap/lib/record"
)

// enoughMemory is the 8 GB that k0rdent's documentation requires, less what the
// kernel keeps for itself.
const enoughMemory = 8_000_000_000 * 9 / 10

// checkLoad compares what the platform's pods request with what the nodes have for
// them. A pod that does not fit stays Pending, and the platform never becomes ready.
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
		return // reported by checkCluster
	default: // the cluster will be this host
		memory, err := k0s.Memory(i.host.proc)
		cpus := k0s.CPUs(i.host.proc)
		if err != nil || cpus == 0 {
			return // k0s-up reports it
		}
		if memory < enoughMemory {
			i.Warn("memory", "this host has %s; k0rdent's documentation requires 8 GB", record.Bytes(memory))
		}
		where = "this host"
		have = chart.Requests{CPU: cpus*1000 - k0s.OwnCPU, Memory: memory - k0s.OwnMemory}
	}
	d := i.demand
	i.Note("%s CPUs and %s requested", cpus(d.CPU), record.Bytes(d.Memory))
	i.checkFit("cpu", where, d.CPU, d.Surge.CPU, have.CPU, func(n int64) string { return cpus(n) + " CPUs" })
	i.checkFit("memory", where, d.Memory, d.Surge.Memory, have.Memory, record.Bytes)
}

// checkFit compares the requests for CPU or memory with what is available.
func (i *installer) checkFit(check, where string, need, surge, have int64, show func(int64) string) {
	hint := "add CPUs or a worker, or enable fewer providers"
	if check == "memory" {
		hint = "add memory or a worker, or enable fewer providers"
	}
	const format = "the platform's pods request %s, but %s has %s for them"
	switch {
	case need > have:
		i.Fail(check, hint, format, show(need), where, show(max(0, have)))
	case need+surge > have && i.cfg.upgrade:
		i.Fail(check, hint, format+": updating %s requires %s more", show(need), where, show(have), i.demand.Largest, show(surge))
	case need+surge > have:
		i.Warn(check, "the platform's pods request %s, and %s has %s for them: updating %s later requires %s more", show(need), where, show(have), i.demand.Largest, show(surge))
	}
}

// cpus formats thousandths of a CPU as CPUs.
func cpus(n int64) string { return strconv.FormatFloat(float64(n)/1000, 'f', -1, 64) }
