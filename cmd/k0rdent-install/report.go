package main

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"text/tabwriter"

	"k0rdent-airgap/cmd/k0rdent-install/chart"
	"k0rdent-airgap/lib/step"
)

// tell reports what there is now, whatever else went wrong, once the platform is
// ready: to a person in lines, to a program in the step's detail.
func (i *installer) tell(_ context.Context, do bool) (step.Outcome, error) {
	if !do {
		return step.Changed(do, "%s", strings.Join(append(details(i.arrived()), "what was installed, and how to reach it"), "; ")), nil
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

// details joins the lines of a report for a program.
func details(lines [][2]string) []string {
	var all []string
	for _, l := range lines {
		if l[0] != "took" {
			all = append(all, l[0]+": "+l[1])
		}
	}
	return all
}

// lines lists what the report has, a name and a text each.
func (i *installer) lines() [][2]string {
	lines := i.arrived()
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
	for _, t := range i.Results {
		if t.Step.Seconds >= 0.1 {
			took = append(took, fmt.Sprintf("%s %.1f s", t.Step.Name, t.Step.Seconds))
		}
	}
	return append(lines, [2]string{"took", strings.Join(took, ", ")})
}

// sources counts what is asked for and from where.
func (i *installer) sources() string {
	if i.cfg.online {
		return "by the chart's own names, from public registries"
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
	return fmt.Sprintf("%d by the names of %s, %d by public names through containerd's mirrors", inside, i.site.at, mirrored)
}

// ui is the platform's web page, and how to get there.
type ui struct{ reach, password string }

// findUI looks for it in what the chart installs: a Service that a Deployment
// of the same name stands behind, whose login is in its environment.
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
