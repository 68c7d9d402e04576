package chart

import (
	"context"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"k0rdent-airgap/lib/ref"
)

// For any content of the registry and any values, every image of both passes is in
// the closure, which reports correctly whether the registry has it.
func TestEveryImageIsAccountedFor(t *testing.T) {
	all := strings.Fields(strings.NewReplacer(":R", ":1.4.0", ":CM", ":v1.20.2").Replace(vendored))
	over := []string{"", "regional: {telemetry: {mode: local}}", "regional: {telemetry: {mode: online}, velero: {upgradeCRDs: true}}",
		"flux2: {imageAutomationController: {create: true}}", "regional: {cert-manager: {image: {digest: '" + someDigest + "'}}}",
		"regional: {cert-manager: {webhook: {image: {registry: my.registry}}}}", "regional: {reloader: {global: {imageRegistry: other.registry}}}",
		"rbac-manager: {enabled: false}", "regional: {velero: {initContainers: [{name: a, image: 'a/b:v1'}]}}"}
	random := rand.New(rand.NewPCG(1, 2))
	for round := range len(over) {
		inv := newMemory()
		for _, image := range all {
			if repository, tag, _ := strings.Cut(image, ":"); random.IntN(4) > 0 {
				inv.image(repository, tag)
			}
		}
		site := everything
		if random.IntN(2) == 0 {
			site.Registry = "10.0.0.5:5000"
		}
		c := platform(t, "1.4")
		derived, _ := derive(t, c, site, inv)
		values := Merge(derived, table(t, over[round%len(over)]))
		needs, _, err := c.Closure(context.Background(), values, site, inv)
		if err != nil {
			t.Fatal(err)
		}
		for _, pass := range []int{FirstPass, SecondPass} {
			m, err := c.Render(values, site, pass)
			if err != nil {
				t.Fatal(err)
			}
			for _, image := range references(m) {
				i := slices.IndexFunc(needs, func(n Need) bool { return n.Reference == image })
				if i < 0 {
					t.Fatalf("round %d: %s of pass %d is not in the closure", round, image, pass)
				}
				account(t, site, inv, needs[i])
			}
		}
	}
}

func account(t *testing.T, site Site, inv *memory, n Need) {
	t.Helper()
	r, _ := ref.ParseImage(n.Reference)
	repository, inside := site.inside(r.Name())
	if inside == n.Outside {
		t.Errorf("%s: outside is %v", n.Reference, n.Outside)
	}
	if !inside {
		repository = r.Normalized().Repository
	}
	if digest := inv.tags[repository][r.Identifier()]; digest != n.Digest || n.Missing != (digest == "") {
		t.Errorf("%s: digest %q, missing %v, the registry has %q", n.Reference, n.Digest, n.Missing, digest)
	}
}
