package chart

import (
	"context"
	"fmt"
	"path"
	"strings"

	chartutil "helm.sh/helm/v4/pkg/chart/v2/util"

	"k0rdent-airgap/lib/ref"
)

// operatorGroup is the API group of the Cluster API operator, whose objects
// make it fetch a provider.
const operatorGroup = "operator.cluster.x-k8s.io/"

// part looks at the chart of an enabled component, rendered as the platform's
// controller does it.
func (k *closure) part(ctx context.Context, reference, name string) error {
	who := "component " + name
	values := map[string]any{}
	if global := globals(k.values); len(global) > 0 {
		values["global"] = global
	}
	objects, err := k.renderedPart(ctx, reference, who, name, values)
	if err != nil || objects == nil {
		return err
	}
	k.demand.add(objects)
	for _, i := range objects.Images() {
		k.want(KindImage, i.Reference, who)
	}
	artifacts := map[string]bool{}
	for _, o := range objects {
		if oci := text(o.Content, "spec", "fetchConfig", "oci"); oci != "" {
			artifacts[oci] = true
		}
	}
	for _, o := range objects {
		for _, image := range k.mentioned(o) {
			if !artifacts[image] {
				k.want(KindImage, image, who)
			}
		}
		if strings.HasPrefix(text(o.Content, "apiVersion"), operatorGroup) {
			if err := k.provider(ctx, o, objects, who); err != nil {
				return err
			}
		}
	}
	if version, ok := strings.CutPrefix(path.Base(reference), "projectsveltos:"); ok {
		k.sveltos(version)
	}
	return nil
}

// sveltos notes the images that Sveltos's controllers pull by digests compiled
// into them, which no chart names (projectsveltos/addon-controller and
// classifier, the manifests of their agents). Which digests cannot be known
// from outside; that they are those of indexes can.
func (k *closure) sveltos(version string) {
	names := []string{"sveltos-agent", "drift-detection-manager"}
	if chartutil.IsCompatibleRange(">= 1.0.0-0", version) {
		names = append(names, "sveltos-applier")
	}
	for _, name := range names {
		n := k.want(KindImage, k.site.Registry+"/projectsveltos/"+name, "Sveltos, by digest")
		n.anyTag, n.byDigest = true, "v"+version
	}
}

// provider follows an object of the Cluster API operator to the artifact with
// its components.
func (k *closure) provider(ctx context.Context, o Object, chart Manifests, who string) error {
	reference := text(o.Content, "spec", "fetchConfig", "oci")
	if reference == "" {
		url := text(o.Content, "spec", "fetchConfig", "url")
		n := k.fault(KindArtifact, strings.TrimSpace(o.String()+" "+url), who, "its components are fetched from the internet")
		n.Outside = true
		return nil
	}
	k.want(KindArtifact, reference, who)
	repository, m, err := k.manifest(ctx, reference)
	if err != nil {
		return k.ignore(err, KindArtifact, reference, who)
	}
	names, metadata := componentFiles(o)
	if _, ok, err := k.titled(ctx, repository, m, metadata); err != nil {
		return k.ignore(err, KindArtifact, reference, who)
	} else if !ok {
		k.fault(KindArtifact, reference, who, "holds no %s", strings.Join(metadata, " or "))
		return nil
	}
	p, ok, err := k.titled(ctx, repository, m, names)
	switch {
	case err != nil:
		return k.ignore(err, KindArtifact, reference, who)
	case !ok:
		k.fault(KindArtifact, reference, who, "holds no %s", strings.Join(names, " or "))
		return nil
	}
	objects, err := decode("", string(p))
	if err != nil {
		k.fault(KindArtifact, reference, who, "components: %v", oneLine(err))
		return nil
	}
	k.demand.add(objects)
	for _, image := range unreplaced(objects, o, k.lastNames(chart)) {
		k.want(KindImage, image, fmt.Sprintf("%s, artifact %s", who, path.Base(repository)))
	}
	return nil
}

// componentFiles returns the names under which the operator looks for a
// provider's components and metadata, in its order (cluster-api-operator,
// internal/controller/oci_source.go).
func componentFiles(o Object) (components, metadata []string) {
	kinds := map[string]string{"ControlPlaneProvider": "control-plane", "RuntimeExtensionProvider": "runtimeextension"}
	kind := kinds[o.Kind()]
	if kind == "" {
		kind = strings.ToLower(strings.TrimSuffix(o.Kind(), "Provider"))
	}
	whole := fmt.Sprintf("%s-%s-%s-", kind, o.Name(), text(o.Content, "spec", "version"))
	return []string{whole + "components.yaml", kind + "-components.yaml", "components.yaml"},
		[]string{whole + "metadata.yaml", "metadata.yaml"}
}

// lastNames returns the last elements of the images that a chart takes from the
// site's registry, in whatever field or text.
func (k *closure) lastNames(chart Manifests) map[string]bool {
	last := map[string]bool{}
	for _, o := range chart {
		mentions(o.Content, k.site.Registry, nil, func(_, name string, _ map[string]any) {
			if r, err := ref.ParseImage(name); err == nil {
				last[path.Base(r.Repository)] = true
			}
		})
	}
	return last
}

// unreplaced lists the images of components that stay as they are when the
// operator has applied what the provider's object and chart say: an imageUrl
// goes to the container of its name, in the only Deployment or, of several, in
// those called ca*-controller-manager (component_customizer.go); a patch
// replaces what it likes, which shows in an image of the same last name.
func unreplaced(components Manifests, provider Object, patched map[string]bool) []string {
	urls := map[string]bool{}
	v, _ := lookup(provider.Content, parsePath("spec.deployment.containers"))
	list, _ := v.([]any)
	for _, e := range list {
		if m, _ := e.(map[string]any); text(m, "imageUrl") != "" {
			urls[text(m, "name")] = true
		}
	}
	deployments := 0
	for _, o := range components {
		if o.Kind() == "Deployment" {
			deployments++
		}
	}
	var left []string
	for _, i := range components.Images() {
		o := i.Object
		manager := o.Kind() == "Deployment" &&
			(deployments == 1 || strings.HasPrefix(o.Name(), "ca") && strings.HasSuffix(o.Name(), "-controller-manager"))
		r, _ := ref.ParseImage(i.Reference)
		if !(manager && urls[i.Container]) && !patched[path.Base(r.Repository)] {
			left = append(left, i.Reference)
		}
	}
	return left
}
