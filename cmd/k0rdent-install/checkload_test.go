package main

import (
	"bytes"
	"strings"
	"testing"

	"k0rdent-airgap/cmd/k0rdent-install/chart"
	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/tests/clitest"
)

// TestCheckLoad compares requests with a host of 2 CPUs and 8 GiB, some of which k0s
// itself uses.
func TestCheckLoad(t *testing.T) {
	const kcm = "Deployment kcm-controller-manager"
	gi := func(n float64) int64 { return int64(n * (1 << 30)) }
	tests := []struct {
		name    string
		demand  chart.Demand
		upgrade bool
		ignore  string
		want    string // part of the only problem; "" for none
		warning bool
	}{
		{"fits", chart.Demand{Requests: chart.Requests{CPU: 1000, Memory: gi(2)}, Surge: chart.Requests{CPU: 500, Memory: gi(1)}, Largest: kcm}, true, "", "", false},
		{"too few CPUs", chart.Demand{Requests: chart.Requests{CPU: 1700, Memory: gi(2)}}, false, "",
			"cpu: the platform's pods request 1.7 CPUs, but this host has 1.64 CPUs for them", false},
		{"too few CPUs, ignored", chart.Demand{Requests: chart.Requests{CPU: 1700, Memory: gi(2)}}, false, "cpu", "cpu: the platform's pods request 1.7 CPUs", true},
		{"too few CPUs to upgrade", chart.Demand{Requests: chart.Requests{CPU: 1260}, Surge: chart.Requests{CPU: 500}, Largest: kcm}, true, "",
			"request 1.26 CPUs, but this host has 1.64 CPUs for them: updating " + kcm + " requires 0.5 CPUs more", false},
		{"too few CPUs to upgrade later", chart.Demand{Requests: chart.Requests{CPU: 1260}, Surge: chart.Requests{CPU: 500}, Largest: kcm}, false, "",
			"1.64 CPUs for them: updating " + kcm + " later requires 0.5 CPUs more", true},
		{"too little memory", chart.Demand{Requests: chart.Requests{Memory: gi(7.9)}}, false, "", "memory: the platform's pods request 8.5 GB, but this host has", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := host{proc: t.TempDir()}
			clitest.Write(t, h.proc+"/cpuinfo", "processor\t: 0\nmodel name\t: x\n\nprocessor\t: 1\n")
			clitest.Write(t, h.proc+"/meminfo", "MemTotal:        8388608 kB\n")
			i := testInstaller(t, h, &settings{upgrade: tt.upgrade})
			i.demand = tt.demand
			if tt.ignore != "" {
				i.Ignore = []string{tt.ignore}
			}
			var shown bytes.Buffer
			i.Progress = cli.NewProgress(tool, &shown, true)
			i.checkLoad(t.Context())
			_, err := i.Report(&i.Problems)
			text := shown.String()
			if !strings.Contains(text, tt.want) || tt.want == "" && text != "" {
				t.Errorf("%q, want %q", text, tt.want)
			}
			if (err == nil) != (tt.warning || tt.want == "") {
				t.Errorf("%v; a warning: %v", err, tt.warning)
			}
			if err != nil && !strings.Contains(text, "hint: ") {
				t.Error("a failure without a hint")
			}
		})
	}
}
