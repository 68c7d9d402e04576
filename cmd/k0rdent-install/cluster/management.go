package cluster

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"k0rdent-airgap/cmd/k0rdent-install/chart"
)

// managementName is the name of the only Management object.
const managementName = "kcm"

// State is the state of the platform according to Management and its Release.
type State struct {
	Release    string      // name of the Release in Management's spec
	Running    string      // name of the running Release; empty until kcm was ready once
	Version    string      // of Release, such as 1.2.3
	Components []Component // by name
	Message    string      // kcm's reason why it is not ready; empty if it is

	observed *observation // nil if Management lists no components
}

// Ready reports whether the platform is ready at this moment. WaitReady also checks
// that it stays ready.
func (s *State) Ready() bool { return s != nil && s.Message == "" }

// Component is a part of the platform that kcm installs: kcm itself, Cluster API or a
// provider.
type Component struct {
	Name     string
	Template string // the name of its ProviderTemplate
	Ready    bool
	Error    string // why it is not ready
}

// management returns Management/kcm, or nil if the object or its kind does not exist.
func (c *Cluster) management(ctx context.Context) (*unstructured.Unstructured, error) {
	return c.get(ctx, managementKind, managementName)
}

// release returns the Release of this name, or nil if it does not exist.
func (c *Cluster) release(ctx context.Context, name string) (*unstructured.Unstructured, error) {
	return c.get(ctx, releaseKind, name)
}

// get returns an object without a namespace, or nil if it or its kind does not exist.
func (c *Cluster) get(ctx context.Context, kind schema.GroupKind, name string) (*unstructured.Unstructured, error) {
	client, err := c.resource(kind, "")
	var u *unstructured.Unstructured
	if err == nil {
		u, err = client.Get(ctx, name, metav1.GetOptions{})
	}
	if absent(err) {
		return nil, nil
	}
	return u, err
}

// State returns the state of the platform, or nil without an error if kcm has not
// created Management yet.
//
// The platform is ready when Management's condition Ready is True for its current
// generation, the running release is the one in its spec, it lists components, all of
// which have succeeded, and the Release is ready. The condition alone is not enough: up
// to kcm 1.5 it considers the components of any release, and just after a change it is
// still that of before. So each component must also be deployed from its current chart
// with its current values, and its Deployments must be available.
func (c *Cluster) State(ctx context.Context) (*State, error) {
	m, err := c.management(ctx)
	if err != nil || m == nil {
		return nil, err
	}
	s := &State{Components: components(m)}
	s.Release, _, _ = unstructured.NestedString(m.Object, "spec", "release")
	s.Running, _, _ = unstructured.NestedString(m.Object, "status", "release")
	var releaseProblem string
	release, err := c.release(ctx, s.Release)
	if err != nil {
		return nil, err
	}
	if release == nil {
		releaseProblem = "release " + s.Release + " does not exist"
	} else {
		s.Version, _, _ = unstructured.NestedString(release.Object, "spec", "version")
		releaseProblem = releaseNotReady(release)
	}
	if len(s.Components) > 0 {
		if s.observed, err = c.observe(ctx); err != nil {
			return nil, err
		}
		s.checkDeployed()
	}
	s.Message = cmp.Or(s.notReady(m), releaseProblem)
	if s.Message == "" && len(s.observed.waiting) > 0 {
		s.Message = strings.Join(s.observed.waiting, "; ")
	}
	return s, nil
}

// checkDeployed marks components as not ready that are not deployed as currently
// requested.
func (s *State) checkDeployed() {
	for i := range s.Components {
		component := &s.Components[i]
		if !component.Ready {
			continue
		}
		if problem := s.observed.problem(*component); problem != "" {
			component.Ready, component.Error = false, problem
		}
	}
}

// allComponents reports whether every component is ready.
func (s *State) allComponents() bool {
	return !slices.ContainsFunc(s.Components, func(c Component) bool { return !c.Ready })
}

// notReady returns the first reason why Management is not ready, or "".
func (s *State) notReady(m *unstructured.Unstructured) string {
	var waiting []string
	for _, component := range s.Components {
		if !component.Ready {
			waiting = append(waiting, component.Name)
		}
	}
	ready := condition(m, "Ready")
	observed := ready.ObservedGeneration
	if observed == 0 { // not in the condition; the status has one as well
		observed, _, _ = unstructured.NestedInt64(m.Object, "status", "observedGeneration")
	}
	switch {
	case m.GetDeletionTimestamp() != nil:
		return "management kcm is being deleted"
	case len(waiting) > 0:
		return "components not ready: " + strings.Join(waiting, ", ")
	case ready.Status == "":
		return "kcm has not processed management kcm yet"
	case ready.Status != string(metav1.ConditionTrue):
		return cmp.Or(ready.Message, ready.Reason, "management kcm is not ready")
	case observed != m.GetGeneration():
		return fmt.Sprintf("kcm has not processed the latest change of management kcm yet (generation %d of %d)", observed, m.GetGeneration())
	case s.Running != s.Release:
		return fmt.Sprintf("release %s is requested, but %s is running", s.Release, cmp.Or(s.Running, "none"))
	case len(s.Components) == 0:
		return "management kcm lists no components"
	}
	return ""
}

// releaseNotReady returns the reason why a Release is not ready, or "".
func releaseNotReady(u *unstructured.Unstructured) string {
	ready, _, _ := unstructured.NestedBool(u.Object, "status", "ready")
	observed, _, _ := unstructured.NestedInt64(u.Object, "status", "observedGeneration")
	if ready && observed == u.GetGeneration() {
		return ""
	}
	for _, kind := range []string{"TemplatesCreated", "TemplatesValid"} {
		if cond := condition(u, kind); cond.Status == string(metav1.ConditionFalse) {
			return fmt.Sprintf("release %s: %s", u.GetName(), cmp.Or(cond.Message, kind+"=False"))
		}
	}
	return "release " + u.GetName() + " is not ready"
}

// components returns Management's status.components, sorted by name.
func components(m *unstructured.Unstructured) []Component {
	all, _, _ := unstructured.NestedMap(m.Object, "status", "components")
	var list []Component
	for name, value := range all {
		status, _ := value.(map[string]any)
		c := Component{Name: name}
		c.Ready, _ = status["success"].(bool)
		c.Template, _ = status["template"].(string)
		c.Error, _ = status["error"].(string)
		list = append(list, c)
	}
	slices.SortFunc(list, func(a, b Component) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// valuesOf returns the values with which kcm deploys its own chart.
func valuesOf(m *unstructured.Unstructured) map[string]any {
	values, _, _ := unstructured.NestedMap(m.Object, "spec", "core", "kcm", "config")
	return values
}

// change updates Management with f. It retries if another client changes it
// meanwhile, or if kcm's webhooks are not up.
func (c *Cluster) change(ctx context.Context, f func(*unstructured.Unstructured) error) error {
	return retry(ctx, func() error {
		m, err := c.management(ctx)
		if err != nil {
			return err
		}
		if m == nil {
			return fmt.Errorf("management %s does not exist", managementName)
		}
		if err := f(m); err != nil {
			return err
		}
		client, err := c.resource(managementKind, "")
		if err != nil {
			return err
		}
		_, err = client.Update(ctx, m, metav1.UpdateOptions{FieldManager: manager})
		return err
	})
}

// configure merges values into Management's.
func configure(m *unstructured.Unstructured, values map[string]any) error {
	merged := chart.Merge(valuesOf(m), values)
	return unstructured.SetNestedMap(m.Object, merged, "spec", "core", "kcm", "config")
}
