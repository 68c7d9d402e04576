package chart

import "testing"

func TestDemand(t *testing.T) {
	const workloads = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: kcm}
spec:
  template:
    spec:
      initContainers: [{name: i, resources: {requests: {cpu: 2, memory: 16Mi}}}]
      containers:
      - {name: a, resources: {requests: {cpu: 500m, memory: 256Mi}}}
      - {name: b, resources: {limits: {cpu: "0.25", memory: 64Mi}}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: many}
spec: {replicas: 3, template: {spec: {containers: [{name: a, resources: {requests: {cpu: 0.1, memory: 10Mi}}}]}}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: recreated}
spec: {strategy: {type: Recreate}, template: {spec: {containers: [{name: a, resources: {requests: {cpu: 3}}}]}}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: off}
spec: {replicas: 0, template: {spec: {containers: [{name: a, resources: {requests: {cpu: 64}}}]}}}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: agent}
spec: {template: {spec: {containers: [{name: a, resources: {requests: {memory: 1Gi}}}, {name: b}]}}}
---
apiVersion: batch/v1
kind: Job
metadata: {name: hook}
spec: {template: {spec: {containers: [{name: a, resources: {requests: {cpu: 8}}}]}}}
`
	m, err := decode(workloads)
	if err != nil {
		t.Fatal(err)
	}
	var d Demand
	d.add(m)
	want := Requests{CPU: 2000 + 3*100 + 3000, Memory: (256 + 64 + 3*10 + 1024) << 20}
	if d.Requests != want {
		t.Errorf("requests %+v, want %+v", d.Requests, want)
	}
	if d.Largest != "Deployment kcm" || d.Surge != (Requests{2000, 320 << 20}) {
		t.Errorf("the largest pod is that of %s, %+v; want Deployment kcm's: 2 CPUs and 320 MiB", d.Largest, d.Surge)
	}
}
