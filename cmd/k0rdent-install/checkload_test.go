package main

import (
	"strings"
	"testing"

	"k0rdent-airgap/cmd/k0rdent-install/chart"
)

// TestCheckLoad compares requests with a host of 2 CPUs and 8 GiB, of which k0s
// itself takes some.
func TestCheckLoad(t *testing.T) {
	const kcm = "Deployment kcm-controller-manager"
	gi := func(n float64) int64 { return int64(n * (1 << 30)) }
	tests := []struct {
		name    string
		demand  chart.Demand
		upgrade bool
		ignore  string
		want    string // part of the one problem; "" for none
		warning bool
	}{
		{"fits", chart.Demand{Requests: chart.Requests{CPU: 1000, Memory: gi(2)}, Surge: chart.Requests{CPU: 500, Memory: gi(1)}, Largest: kcm}, true, "", "", false},
		{"too few CPUs", chart.Demand{Requests: chart.Requests{CPU: 1700, Memory: gi(2)}}, false, "",
			"cpu: the platform's pods request 1.7 CPUs, and this host has 1.64 CPUs for them", false},
		{"too few CPUs, ignored", chart.Demand{Requests: chart.Requests{CPU: 1700, Memory: gi(2)}}, false, "cpu", "cpu: the platform's pods request 1.7 CPUs", true},
		{"too few CPUs to upgrade", chart.Demand{Requests: chart.Requests{CPU: 1260}, Surge: chart.Requests{CPU: 500}, Largest: kcm}, true, "",
			"request 1.26 CPUs, and this host has 1.64 CPUs for them: an update of " + kcm + " needs 0.5 CPUs more", false},
		{"too few CPUs to upgrade later", chart.Demand{Requests: chart.Requests{CPU: 1260}, Surge: chart.Requests{CPU: 500}, Largest: kcm}, false, "",
			"a later update of " + kcm + " needs 0.5 CPUs more", true},
		{"too little memory", chart.Demand{Requests: chart.Requests{Memory: gi(7.9)}}, false, "", "memory: the platform's pods request 8.5 GB, and this host has", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := host{proc: t.TempDir()}
			write(t, h.proc+"/cpuinfo", "processor\t: 0\nmodel name\t: x\n\nprocessor\t: 1\n")
			write(t, h.proc+"/meminfo", "MemTotal:        8388608 kB\n")
			p := &preflight{installer: &installer{host: h, cfg: &config{}, demand: tt.demand}, upgrade: tt.upgrade}
			if tt.ignore != "" {
				p.cfg.ignore = []string{tt.ignore}
			}
			p.checkLoad(t.Context())
			if tt.want == "" {
				if len(p.problems) > 0 {
					t.Errorf("problems = %+v, want none", p.problems)
				}
				return
			}
			if len(p.problems) != 1 {
				t.Fatalf("problems = %+v, want one", p.problems)
			}
			q := p.problems[0]
			if got := q.check + ": " + q.text; !strings.Contains(got, tt.want) || q.warning != tt.warning {
				t.Errorf("%q, a warning: %v; want %q, %v", got, q.warning, tt.want, tt.warning)
			}
			if !q.warning && q.hint == "" {
				t.Error("a failure without a hint")
			}
		})
	}
}
