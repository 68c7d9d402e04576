package chart

import (
	"context"
	"fmt"
	"path"
	"strings"

	chartutil "helm.sh/helm/v4/pkg/chart/v2/util"

	"k0rdent-airgap/lib/ref"
)

// operatorGroup is the API group of the Cluster API operator. For each object, it
// fetches a provider.
const operatorGroup = "operator.cluster.x-k8s.io/"

// part adds what the chart of an enabled component requests, rendered as the
// platform's controller does.
func (k *closure) part(ctx context.Context, reference, name string) error {
	by := "component " + name
	values := map[string]any{}
	if global := globals(k.values); len(global) > 0 {
		values["global"] = global
	}
	objects, err := k.renderedPart(ctx, reference, by, name, values)
	if err != nil || objects == nil {
		return err
	}
	k.demand.add(objects)
	for _, i := range objects.Images() {
		k.add(KindImage, i.Reference, by)
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
				k.add(KindImage, image, by)
			}
		}
		if strings.HasPrefix(text(o.Content, "apiVersion"), operatorGroup) {
			if err := k.provider(ctx, o, objects, by); err != nil {
				return err
			}
		}
	}
	if version, ok := strings.CutPrefix(path.Base(reference), "projectsveltos:"); ok {
		k.sveltos(version)
	}
	return nil
}

// sveltos adds the images that Sveltos's controllers pull by digests compiled into
// them, which no chart names (projectsveltos/addon-controller and classifier, the
// manifests of their agents). The digests are unknown here, except that they are those
// of indexes.
func (k *closure) sveltos(version string) {
	names := []string{"sveltos-agent", "drift-detection-manager"}
	if chartutil.IsCompatibleRange(">= 1.0.0-0", version) {
		names = append(names, "sveltos-applier")
	}
	for _, name := range names {
		n := k.add(KindImage, k.site.Registry+"/projectsveltos/"+name, "Sveltos, by digest")
		n.anyTag, n.byDigest = true, "v"+version
	}
}

// provider adds the artifact with the components of an object of the Cluster API
// operator, and the images in it.
func (k *closure) provider(ctx context.Context, o Object, chart Manifests, by string) error {
	reference := text(o.Content, "spec", "fetchConfig", "oci")
	if reference == "" {
		url := text(o.Content, "spec", "fetchConfig", "url")
		n := k.addMissing(KindArtifact, strings.TrimSpace(o.String()+" "+url), by, "its components are fetched from the internet")
		n.Outside = true
		return nil
	}
	k.add(KindArtifact, reference, by)
	repository, objects, err := k.components(ctx, reference, o)
	if err != nil {
		return k.ignore(err, KindArtifact, reference, by)
	}
	k.demand.add(objects)
	for _, image := range unreplaced(objects, o, k.lastNames(chart)) {
		k.add(KindImage, image, fmt.Sprintf("%s, artifact %s", by, path.Base(repository)))
	}
	return nil
}

// components returns the repository and the objects of the artifact of a provider. It
// must contain the provider's metadata, too.
func (k *closure) components(ctx context.Context, reference string, provider Object) (repository string, objects Manifests, err error) {
	repository, m, err := k.manifest(ctx, reference)
	if err != nil {
		return "", nil, err
	}
	names, metadata := componentFiles(provider)
	if _, err := k.fetchFile(ctx, repository, m, metadata); err != nil {
		return "", nil, err
	}
	text, err := k.fetchFile(ctx, repository, m, names)
	if err != nil {
		return "", nil, err
	}
	if objects, err = decode(string(text)); err != nil {
		return "", nil, fmt.Errorf("%w: components: %w", ErrUnusable, oneLine(err))
	}
	return repository, objects, nil
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

// lastNames returns the last elements of the names of images from the site's registry
// that a chart has in any field or text.
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

// unreplaced returns the images of components that the operator does not replace when
// it applies the provider's object and chart. It sets an imageUrl in the container of
// that name, in the only Deployment or, of several, in those called
// ca*-controller-manager (component_customizer.go). Patches replace any image; one
// with the same last element shows that.
func unreplaced(components Manifests, provider Object, patched map[string]bool) []string {
	urls := map[string]bool{}
	for _, e := range items(provider.Content, parsePath("spec.deployment.containers")) {
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
