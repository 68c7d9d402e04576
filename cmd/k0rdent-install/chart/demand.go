package chart

import (
	"cmp"

	"k8s.io/apimachinery/pkg/api/resource"
)

// Requests is what pods reserve on a node. A pod that does not fit on any node stays
// Pending.
type Requests struct {
	CPU    int64 // in thousandths of one
	Memory int64 // in bytes
}

// Plus returns the sum of r and o.
func (r Requests) Plus(o Requests) Requests { return Requests{r.CPU + o.CPU, r.Memory + o.Memory} }

// Demand is what the platform's pods reserve once all of them run.
type Demand struct {
	Requests
	Surge   Requests // of the largest pod that an update runs next to the one it replaces
	Largest string   // the Deployment with that pod, "" if none has requests
}

// add adds the pods of workloads, except those of Jobs, which end.
func (l *Demand) add(m Manifests) {
	for _, o := range m {
		replicas := int64(1)
		switch o.Kind() {
		case "Deployment", "StatefulSet":
			if n, ok := lookup(o.Content, parsePath("spec.replicas")); ok {
				replicas = integer(n)
			}
		case "DaemonSet":
		default:
			continue
		}
		pod := podRequests(o.Content)
		l.CPU += replicas * pod.CPU
		l.Memory += replicas * pod.Memory
		surges := o.Kind() == "Deployment" && replicas > 0 && text(o.Content, "spec", "strategy", "type") != "Recreate"
		if surges && cmp.Or(cmp.Compare(pod.CPU, l.Surge.CPU), cmp.Compare(pod.Memory, l.Surge.Memory)) > 0 {
			l.Surge, l.Largest = pod, o.String()
		}
	}
}

// integer returns a number of YAML as an integer.
func integer(v any) int64 {
	switch v := v.(type) {
	case float64:
		return int64(v)
	case int64:
		return v
	}
	return 1
}

// podRequests returns what one pod of a workload reserves: its containers
// together, or the largest init container.
func podRequests(content map[string]any) Requests {
	var sum, first Requests
	spec := parsePath("spec.template.spec")
	for _, c := range items(content, spec.to("containers")) {
		sum = sum.Plus(containerRequests(c))
	}
	for _, c := range items(content, spec.to("initContainers")) {
		r := containerRequests(c)
		first = Requests{max(first.CPU, r.CPU), max(first.Memory, r.Memory)}
	}
	return Requests{max(sum.CPU, first.CPU), max(sum.Memory, first.Memory)}
}

func items(content map[string]any, p keyPath) []any {
	v, _ := lookup(content, p)
	l, _ := v.([]any)
	return l
}

// containerRequests returns a container's requests; a limit without a request is one.
func containerRequests(container any) Requests {
	c, _ := container.(map[string]any)
	amount := func(name string) resource.Quantity {
		for _, kind := range []string{"requests", "limits"} {
			v, ok := lookup(c, parsePath("resources."+kind+"."+name))
			if !ok {
				continue
			}
			if n, isNumber := v.(float64); isNumber {
				return *resource.NewMilliQuantity(int64(n*1000), resource.DecimalSI)
			}
			s, _ := v.(string)
			q, err := resource.ParseQuantity(s)
			if err == nil {
				return q
			}
		}
		return resource.Quantity{}
	}
	cpu, memory := amount("cpu"), amount("memory")
	return Requests{cpu.MilliValue(), memory.Value()}
}
