package chart

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"

	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	chartutil "helm.sh/helm/v4/pkg/chart/v2/util"
	"helm.sh/helm/v4/pkg/engine"
	"sigs.k8s.io/yaml"
)

// The two renderings of the platform's chart.
const (
	FirstPass  = 1 // what helm install applies
	SecondPass = 2 // what the platform's controller applies once cert-manager runs
)

// Manifests are the objects that a chart renders to, in the order of their
// templates. Definitions of custom resources are omitted: their schemas are full of
// properties named image.
type Manifests []Object

// An Object is one rendered Kubernetes object.
type Object struct{ Content map[string]any }

// Kind returns the object's kind.
func (o Object) Kind() string { return text(o.Content, "kind") }

// Name returns the object's name, "" for none.
func (o Object) Name() string { return text(o.Content, "metadata", "name") }

func (o Object) String() string { return o.Kind() + " " + o.Name() }

// text returns the string at a path, or "".
func text(m map[string]any, p ...string) string {
	v, _ := lookup(m, p)
	s, _ := v.(string)
	return s
}

// Render returns the manifests of one of the two passes. It fails where helm does: at
// values that do not match the schema of the chart or of a subchart that they enable, a
// version of Kubernetes that the chart does not support, a template that fails or does
// not render to YAML. A schema that allows unknown keys, as the platform's does, does not
// detect a misspelled one.
func (c *Chart) Render(values map[string]any, site Site, pass int) (Manifests, error) {
	release := common.ReleaseOptions{Name: ReleaseName, Namespace: Namespace, Revision: 1, IsInstall: true}
	if pass == SecondPass {
		var err error
		if values, err = c.secondPass(values); err != nil {
			return nil, err
		}
		release.Revision, release.IsInstall, release.IsUpgrade = 2, false, true
	}
	return c.render(values, site.KubeVersion, release)
}

// render renders the chart without a cluster. The version of Kubernetes is required:
// Helm's default is one of 2020, for which charts would choose other images.
func (c *Chart) render(values map[string]any, kubeVersion string, release common.ReleaseOptions) (Manifests, error) {
	version, err := common.ParseKubeVersion(kubeVersion)
	if err != nil {
		return nil, fmt.Errorf("kubernetes version %q: %w", kubeVersion, err)
	}
	if supported := c.meta.KubeVersion; supported != "" && !chartutil.IsCompatibleRange(supported, version.String()) {
		return nil, fmt.Errorf("chart %s requires Kubernetes %s, and this is %s", c.Name(), supported, version)
	}
	h, err := c.Helm()
	if err != nil {
		return nil, err
	}
	if err := chartutil.ProcessDependencies(h, values); err != nil { // it drops subcharts that values disable
		return nil, fmt.Errorf("chart %s: %w", c.Name(), err)
	}
	capabilities := common.DefaultCapabilities.Copy()
	capabilities.KubeVersion = *version
	all, err := util.ToRenderValues(h, values, release, capabilities)
	if err != nil {
		return nil, fmt.Errorf("chart %s: %w", c.Name(), oneLine(err))
	}
	// Without a cluster, lookup returns nothing at once, so there is no need to stop it.
	files, err := engine.Engine{}.RenderWithContext(context.Background(), h, all)
	if err != nil {
		return nil, fmt.Errorf("chart %s: %w", c.Name(), oneLine(err))
	}
	var m Manifests
	for _, name := range sortedKeys(files) {
		if path.Base(name) == "NOTES.txt" {
			continue
		}
		objects, err := decode(files[name])
		if err != nil {
			return nil, fmt.Errorf("chart %s: template %s: %w", c.Name(), name, oneLine(err))
		}
		m = append(m, objects...)
	}
	return m, nil
}

// decode reads the objects of a YAML stream, except definitions of custom
// resources.
func decode(stream string) (Manifests, error) {
	var m Manifests
	for _, doc := range documents(stream) {
		if strings.TrimSpace(doc) == "" || isDefinition(doc) {
			continue
		}
		var content map[string]any
		if err := yaml.Unmarshal([]byte(doc), &content); err != nil {
			return nil, err
		}
		if len(content) > 0 {
			m = append(m, Object{content})
		}
	}
	return m, nil
}

// documents splits a stream at the lines that begin with "---".
func documents(stream string) []string {
	var all []string
	var doc strings.Builder
	for line := range strings.Lines(stream) {
		if strings.HasPrefix(line, "---") {
			all = append(all, doc.String())
			doc.Reset()
			continue
		}
		doc.WriteString(line)
	}
	return append(all, doc.String())
}

// isDefinition reports whether a document is the definition of a custom resource,
// without parsing it: most of a chart's text is in such documents.
func isDefinition(doc string) bool {
	for line := range strings.Lines(doc) {
		if kind, ok := strings.CutPrefix(line, "kind:"); ok {
			return strings.Trim(strings.TrimSpace(kind), `"'`) == "CustomResourceDefinition"
		}
	}
	return false
}

// oneLine joins the lines of an error, of which Helm's may have many.
func oneLine(err error) error {
	if !strings.Contains(err.Error(), "\n") {
		return err
	}
	var b strings.Builder
	for line := range strings.Lines(err.Error()) {
		line = strings.TrimPrefix(strings.TrimSpace(line), "- ")
		switch before := b.String(); {
		case line == "":
			continue
		case strings.HasSuffix(before, ":"):
			b.WriteByte(' ')
		case before != "":
			b.WriteString("; ")
		}
		b.WriteString(line)
	}
	return errors.New(b.String())
}
