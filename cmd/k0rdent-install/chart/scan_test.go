package chart

import (
	"slices"
	"strings"
	"testing"
)

func TestImages(t *testing.T) {
	c := single(t, "", `
kind: Deployment
metadata: {name: d}
spec:
  template:
    spec:
      initContainers: [{name: i, image: busybox}]
      containers:
        - name: m
          image: quay.io/a/b:v1
          imagePullPolicy: Always
          args: [--acme-http01-solver-image=quay.io/a/solver:v1, --registry=r.local/p, --image-dir=/x/y, -v]
          env:
            - {name: RELATED_IMAGE_AGENT, value: quay.io/a/agent:v1}
            - {name: HELPER_IMAGE, value: helper}
            - {name: IMAGE_DIR, value: /x/y}
            - {name: SOME_IMAGE, value: "not one"}
---
kind: InfrastructureProvider
metadata: {name: p}
spec: {deployment: {containers: [{name: manager, imageUrl: r.local/p/c:v1}]}, image: ubuntu-22.04, other: {image: r.io/x/y}}
---
kind: CustomResourceDefinition
spec: {image: quay.io/no/pod:v1}
---
# a comment and nothing else
---
kind: "CustomResourceDefinition"
spec: {containers: [{image: quay.io/no/pod:v1}]}
`, nil)
	m, err := c.Render(nil, documented, FirstPass)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, i := range m.Images() {
		got = append(got, i.Object.String()+"/"+i.Container+"="+i.Reference)
	}
	slices.Sort(got)
	want := []string{
		"Deployment d/=helper", "Deployment d/=quay.io/a/agent:v1", "Deployment d/=quay.io/a/solver:v1",
		"Deployment d/i=busybox", "Deployment d/m=quay.io/a/b:v1",
		"InfrastructureProvider p/=r.io/x/y", "InfrastructureProvider p/manager=r.local/p/c:v1",
	}
	if !slices.Equal(got, want) {
		t.Errorf("images\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestMentions(t *testing.T) {
	for _, row := range []struct{ name, text, want string }{
		{"a field", "x: R/a/b:v1", "R/a/b:v1"},
		{"a scheme", "x: oci://R/charts", "oci://|R/charts"},
		{"an argument", "x: [--image=R/a:v1, --registry=R, --url=oci://R/charts]", "R/a:v1 oci://|R/charts"},
		{"a list in a string", "x: 'R/a:v1,R/b:v2 (R/c)'", "R/a:v1 R/b:v2 R/c"},
		{"a sentence", "x: see R/a.", "R/a"},
		{"a text of YAML", "x: |\n  - op: replace\n    value: R/a:v1\n", "R/a:v1"},
		{"a text in a text", "x: |\n  y: |\n    z: R/a:v1\n    w: 1\n  v: 1\n", "R/a:v1"},
		{"documents in a text", "x: |\n  a: R/a:v1\n  ---\n  b: R/b:v1\n", "R/a:v1 R/b:v1"},
		{"a script", "x: |\n  #!/bin/sh\n  pull R/a:v1\n  : [\n", "R/a:v1"},
		{"a digest", "x: R/a@" + someDigest, "R/a@" + someDigest},
		{"a missing slash", "x: Rkubernetes-csi/a:v1", "Rkubernetes-csi/a:v1"},
		{"another registry", "x: [Q.R/a:v1, quay.io/a]", ""},
		{"another prefix", "x: R-2/a:v1", ""},
		{"the registry alone", "x: [R, 'R/']", ""},
	} {
		var got []string
		object := table(t, strings.ReplaceAll(row.text, "R", registry))
		mentions(object, registry, nil, func(scheme, name string, _ map[string]any) {
			if scheme != "" {
				scheme += "|"
			}
			got = append(got, scheme+name)
		})
		if s := strings.Join(got, " "); s != strings.ReplaceAll(row.want, "R", registry) {
			t.Errorf("%s: %q mentions %q, want %q", row.name, row.text, s, row.want)
		}
	}
}

func TestMentionsOfAnAddress(t *testing.T) {
	const host = "[fd00::5]:5000"
	var got []string
	mentions(table(t, "x: ['"+host+"/a:v1', '--image="+host+"/b:v1', '"+host+"', '"+host+" "+host+"/c']"), host, nil, func(_, name string, _ map[string]any) {
		got = append(got, name)
	})
	if want := []string{host + "/a:v1", host + "/b:v1", host + "/c"}; !slices.Equal(got, want) {
		t.Errorf("mentions of %s: %q, want %q", host, got, want)
	}
}

// tokens finds every image, in any surrounding text, and only names that are in the
// text and begin with the registry.
func FuzzTokens(f *testing.F) {
	for _, s := range []string{"", "x", "--image=", "oci://", "\"", "R", "R/", "://R/://"} {
		f.Add(s, " "+s)
	}
	f.Fuzz(func(t *testing.T, before, after string) {
		const image = "r.local/p/a:v1"
		found := false
		text := before + " " + image + " " + after
		tokens(text, "r.local/p", func(scheme, name string) {
			if !strings.HasPrefix(name, "r.local/p") || !strings.Contains(text, scheme+name) {
				t.Errorf("tokens(%q) finds %q %q", text, scheme, name)
			}
			found = found || scheme == "" && name == image
		})
		if !found {
			t.Errorf("tokens(%q) does not find %s", text, image)
		}
	})
}
