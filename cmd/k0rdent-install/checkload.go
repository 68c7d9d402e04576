package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strconv"

	"k0rdent-airgap/cmd/k0rdent-install/chart"
	"k0rdent-airgap/lib/record"
)

// k0sPods is what the pods that k0s itself brings request: kube-router, CoreDNS
// and metrics-server (k0s, pkg/component/controller).
var k0sPods = chart.Requests{CPU: 360, Memory: 116 << 20}

// evictable is the memory that a kubelet keeps free of pods.
const evictable = 100 << 20

// checkLoad compares what the platform's pods request with what is there for
// them. One that does not fit stays Pending, and the platform never gets ready.
func (p *preflight) checkLoad(ctx context.Context) {
	where, have := "the cluster", chart.Requests{}
	if p.reach(ctx) {
		cpu, memory, err := p.cluster.Capacity(ctx)
		if err != nil {
			p.warn("cpu", "what the cluster's nodes have is not known: %v", err)
			return
		}
		have = chart.Requests{CPU: cpu, Memory: memory}
	} else {
		memory, err := memory(filepath.Join(p.host.proc, "meminfo"))
		cpus := p.host.cpus()
		if err != nil || cpus == 0 {
			return // the check of memory says so
		}
		where = "this host"
		have = chart.Requests{CPU: cpus*1000 - k0sPods.CPU, Memory: memory - evictable - k0sPods.Memory}
	}
	d := p.demand
	p.note("%s CPUs and %s requested", cpus(d.CPU), record.Bytes(d.Memory))
	p.checkFit("cpu", where, d.CPU, d.Surge.CPU, have.CPU, func(n int64) string { return cpus(n) + " CPUs" })
	p.checkFit("memory", where, d.Memory, d.Surge.Memory, have.Memory, record.Bytes)
}

// checkFit compares one kind of request.
func (p *preflight) checkFit(check, where string, need, surge, have int64, show func(int64) string) {
	hint := "add CPUs or a worker, or enable fewer providers"
	if check == "memory" {
		hint = "add memory or a worker, or enable fewer providers"
	}
	const format = "the platform's pods request %s, and %s has %s for them"
	switch {
	case need > have:
		p.fail(check, hint, format, show(need), where, show(max(0, have)))
	case need+surge > have && p.upgrade:
		p.fail(check, hint, format+": an update of %s needs %s more", show(need), where, show(have), p.demand.Largest, show(surge))
	case need+surge > have:
		p.warn(check, format+": a later update of %s needs %s more", show(need), where, show(have), p.demand.Largest, show(surge))
	}
}

// cpus shows thousandths of a CPU.
func cpus(n int64) string { return strconv.FormatFloat(float64(n)/1000, 'f', -1, 64) }

// cpus returns how many CPUs the host has, 0 if that is not known.
func (h host) cpus() int64 {
	text, err := os.ReadFile(filepath.Join(h.proc, "cpuinfo"))
	if err != nil {
		return 0
	}
	var n int64
	for line := range bytes.Lines(text) {
		if bytes.HasPrefix(line, []byte("processor")) {
			n++
		}
	}
	return n
}
