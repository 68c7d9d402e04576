package main

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"text/tabwriter"

	"k0rdent-airgap/cmd/k0rdent-install/chart"
	"k0rdent-airgap/lib/record"
	"k0rdent-airgap/lib/step"
)

// report reports what is installed once the platform is ready, even if a later step
// failed: in lines for people, and in the step's detail for programs.
func (i *installer) report(_ context.Context, do bool) (step.Outcome, error) {
	if !do {
		return step.Changed(do, "%s", strings.Join(append(details(i.pushed()), "print what is installed and how to reach it"), "; ")), nil
	}
	lines := i.lines()
	if !i.Quiet {
		w := tabwriter.NewWriter(i.Progress, 0, 0, 2, ' ', 0)
		for _, l := range lines {
			fmt.Fprintf(w, "%s\t%s\n", l[0], l[1])
		}
		if err := w.Flush(); err != nil {
			return step.Outcome{}, err
		}
	}
	o := step.Unchanged("%s", strings.Join(details(lines), "; "))
	o.Shown = true
	return o, nil
}

// details formats the lines of a report for programs.
func details(lines [][2]string) []string {
	var all []string
	for _, l := range lines {
		if l[0] != "took" {
			all = append(all, l[0]+": "+l[1])
		}
	}
	return all
}

// lines returns the lines of the report, a name and a text each.
func (i *installer) lines() [][2]string {
	lines := i.pushed()
	if i.node.Node != "" {
		lines = append(lines, [2]string{"node", i.node.Node + " at " + i.node.Address}, [2]string{"k0s", i.node.K0s})
	}
	lines = append(lines, [2]string{"kubernetes", i.version})
	if i.release != nil {
		version := i.release.chart.Name() + " " + i.release.chart.Version()
		if i.reached != nil {
			version += " (release " + i.reached.Release + ")"
		}
		lines = append(lines, [2]string{"k0rdent", version}, [2]string{"images", i.sources()})
	}
	lines = append(lines, [2]string{"kubeconfig", i.kubeconfig()})
	if ui, ok := i.findUI(); ok {
		lines = append(lines, [2]string{"ui", ui.reach}, [2]string{"ui password", ui.password})
	}
	var took []string
	for _, s := range i.Ended {
		if s.Seconds >= 0.1 {
			took = append(took, fmt.Sprintf("%s %.1f s", s.Name, s.Seconds))
		}
	}
	return append(lines, [2]string{"took", strings.Join(took, ", ")})
}

// sources returns where images are pulled from, with counts.
func (i *installer) sources() string {
	if i.cfg.online {
		return "from public registries, by the chart's own names"
	}
	inside, mirrored := 0, 0
	for _, n := range i.needs {
		switch {
		case n.Missing || n.Kind != chart.KindImage:
		case n.Outside:
			mirrored++
		default:
			inside++
		}
	}
	return fmt.Sprintf("%d from %s by name, %d by public names through containerd's mirrors", inside, i.site.at, mirrored)
}

// ui holds the commands to reach the platform's web interface.
type ui struct{ reach, password string }

// findUI finds the web interface among the chart's objects: a Service, and a
// Deployment of the same name with the password in its environment.
func (i *installer) findUI() (ui, bool) {
	if i.release == nil {
		return ui{}, false
	}
	objects, err := i.release.chart.Render(i.release.values, i.release.site, chart.FirstPass)
	if err != nil {
		return ui{}, false
	}
	const suffix, variable = "k0rdent-ui", "BASIC_AUTH_PASSWORD"
	var found ui
	for _, o := range objects {
		if !strings.HasSuffix(o.Name(), suffix) {
			continue
		}
		switch o.Kind() {
		case "Service":
			port, kind := servicePort(o.Content)
			found.reach = fmt.Sprintf("%s -n %s port-forward service/%s 8080:%s, then http://localhost:8080", i.kubectl(), namespace, o.Name(), port)
			if kind == "NodePort" {
				found.reach = fmt.Sprintf("http://%s:PORT; %s -n %s get service %s shows PORT", cmp.Or(i.node.Address, "NODE"), i.kubectl(), namespace, o.Name())
			}
		case "Deployment":
			found.password = fmt.Sprintf("%s -n %s exec deployment/%s -- printenv %s", i.kubectl(), namespace, o.Name(), variable)
		}
	}
	return found, found.reach != ""
}

// servicePort returns a Service's first port and its type.
func servicePort(service map[string]any) (port, kind string) {
	spec, _ := service["spec"].(map[string]any)
	kind, _ = spec["type"].(string)
	ports, _ := spec["ports"].([]any)
	if len(ports) == 0 {
		return "80", kind
	}
	first, _ := ports[0].(map[string]any)
	return fmt.Sprint(first["port"]), kind
}

// pushed returns lines of the report about the push, a name and a text each, or nil
// if there was no record of one.
func (i *installer) pushed() [][2]string {
	if i.push == nil {
		return nil
	}
	release := "UNVERIFIED"
	if i.signature == record.SignatureGood {
		release = "signature verified"
	}
	if i.bundle != nil {
		release = i.bundle.Version + ", " + release
	}
	scheme := "https"
	if i.cfg.PlainHTTP {
		scheme = "http"
	}
	n := i.push.Counts[record.StatusPushed] + i.push.Counts[record.StatusExists]
	images := fmt.Sprintf("%d; the registry already had all of them", n)
	if i.push.Bytes > 0 {
		images = fmt.Sprintf("%d; the last push sent %s", n, record.Bytes(i.push.Bytes))
	}
	return [][2]string{{"release", release}, {"registry", scheme + "://" + i.site.at}, {"pushed", images}}
}
