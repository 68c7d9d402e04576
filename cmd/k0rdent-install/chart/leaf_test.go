package chart

import (
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

func TestWalk(t *testing.T) {
	for _, row := range []struct{ name, values, want string }{
		{"repository and tag", "image: {repository: quay.io/a/b, tag: v1}", "image.repository=quay.io/a/b"},
		{"no tag", "image: {repository: quay.io/a/b}", "image.repository=quay.io/a/b"},
		{"separate registry", "image: {registry: quay.io, repository: a/b}", "image.repository=quay.io/a/b clears image.registry"},
		{"empty registry", `image: {registry: "", repository: a/b}`, "image.repository=a/b"},
		{"table below", "image: {manager: {repository: a/b, tag: v1}}", "image.manager.repository=a/b"},
		{"table in a table", "image: {repository: a/b, tag: v1, initContainer: {repository: busybox, tag: latest}}",
			"image.initContainer.repository=busybox image.repository=a/b"},
		{"string and tag", "cli: {image: ghcr.io/a/b, tag: v1}", "cli.image=ghcr.io/a/b"},
		{"string with tag", "cli: {image: 'ghcr.io/a/b:v1'}", "cli.image=ghcr.io/a/b+:v1"},
		{"string with digest", "image: a/b@" + someDigest, "image=a/b+@" + someDigest},
		{"name of other key", "sidecarImage: a/b:v1", "sidecarImage=a/b+:v1"},
		{"list of containers", "initContainers: [{name: x, image: 'a/b:v1'}, {image: c}]", "initContainers[0].image=a/b+:v1 initContainers[1].image=c"},
		{"argument", "args: [--v=2, '--agent-image=quay.io/a/b:v1']", "args[1]=--agent-image=>quay.io/a/b+:v1"},
		{"composed", "{imageRegistry: quay.io, imageNamespace: jet, x: {image: {repository: '', name: part}}}", "x.image.repository=quay.io/jet/part"},
		{"composed without a namespace", "{imageRegistry: quay.io, image: {repository: '', name: part}}", "image.repository=quay.io/part"},
		{"not composed across charts", "{imageRegistry: quay.io, sub: {image: {repository: '', name: part}}}", ""},
		{"name next to a repository", "image: {name: stakater/reloader, repository: ghcr.io/stakater/reloader, tag: v1}", "image.repository=ghcr.io/stakater/reloader"},
		{"table of another name", "proxy: {repository: a/b, tag: v1}", "proxy.repository=a/b"},

		{"pull policy", "{imagePullPolicy: Always, imagePullSecrets: [a/b], imageAutomationController: {create: false}}", ""},
		{"git repository", "source: {repository: 'https://github.com/a/b', tag: v1}", ""},
		{"chart repository", "chart: {repository: some/charts}", ""},
		{"address", "controller: {templatesRepoURL: 'oci://a/b/charts'}", ""},
		{"empty", "image: {repository: '', tag: v1}", ""},
		{"only a tag", "image: {tag: v1}", ""},
		{"template", "image: '{{ .Values.x }}'", ""},
		{"nulls", "{image: null, initContainers: null, x: {repository: null, tag: null}}", ""},
		{"numbers", "image: {repository: 5, tag: 1.2}", ""},
	} {
		var got []string
		for _, l := range walk(table(t, row.values), map[string]bool{"": true, "sub": true}).leaves {
			s := l.path.String() + "="
			if l.before != "" {
				s += l.before + ">"
			}
			s += l.name
			if l.after != "" {
				s += "+" + l.after
			}
			if l.registry != nil {
				s += " clears " + l.registry.String()
			}
			got = append(got, s)
		}
		if s := strings.Join(got, " "); !sameWords(s, row.want) {
			t.Errorf("%s: %s: leaves %q, want %q", row.name, row.values, s, row.want)
		}
	}
}

func sameWords(a, b string) bool {
	count := map[string]int{}
	for _, w := range strings.Fields(a) {
		count[w]++
	}
	for _, w := range strings.Fields(b) {
		count[w]--
	}
	for _, n := range count {
		if n != 0 {
			return false
		}
	}
	return true
}

func TestPullSecretKeys(t *testing.T) {
	values := `
imagePullSecrets: []
global: {imagePullSecrets: []}
image: {repository: a/b, pullSecrets: []}
serviceAccount: {imagePullSecrets: []}
sub: {imagePullSecrets: {}, global: {imagePullSecrets: []}, image: {imagePullSecrets: []}}`
	var got []string
	for _, k := range walk(table(t, values), map[string]bool{"": true, "sub": true}).secrets {
		s := k.path.String()
		if k.inside {
			s += "!"
		}
		got = append(got, s)
	}
	want := "imagePullSecrets global.imagePullSecrets image.pullSecrets! sub.imagePullSecrets sub.global.imagePullSecrets sub.image.imagePullSecrets!"
	if s := strings.Join(got, " "); !sameWords(s, want) {
		t.Errorf("keys for pull secrets = %q, want %q", s, want)
	}
}

// In any values, each leaf's path leads to a value or a table, and once all leaves
// are replaced, every image is in the registry.
func FuzzWalk(f *testing.F) {
	for _, s := range []string{
		"image: {repository: quay.io/a/b, tag: v1}", "a: [{image: b/c}, [x, {image: y}]]", "args: [--x-image=a/b:c]",
		"{imageRegistry: q.io, imageNamespace: j, image: {repository: '', name: part}}", "image: {registry: r.io, repository: a, sub: {repository: b}}",
		"{a.b: {image: c}, '[0]': {image: d}}",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var values map[string]any
		if len(text) > 4096 || yaml.Unmarshal([]byte(text), &values) != nil {
			return
		}
		roots := map[string]bool{"": true}
		derived := map[string]any{}
		for _, l := range walk(values, roots).leaves {
			if err := put(derived, l.path, l.before+registry+"/x"+l.after, values); err != nil {
				t.Fatalf("%v: %v", l.path, err)
			}
			if l.registry != nil {
				if err := put(derived, l.registry, "", values); err != nil {
					t.Fatalf("%v: %v", l.registry, err)
				}
			}
		}
		for _, l := range walk(Merge(values, derived), roots).leaves {
			if l.name != registry+"/x" {
				t.Errorf("after all were replaced, %v is still %s", l.path, l.name)
			}
		}
	})
}
