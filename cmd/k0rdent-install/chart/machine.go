package chart

import (
	"strings"

	"k0rdent-airgap/lib/k0s"
)

// A machine is what k0smotron does on a new machine of a cluster template: write
// files, run commands, download k0s, start it.
type machine struct {
	object      string // its object, such as "K0sControlPlane c-cp"
	version     k0s.Version
	versioned   bool // it has a version
	downloadURL string
	preloaded   bool // k0s is in the machine's image
	files       []machineFile
	commands    []string // before k0s is downloaded
}

// A machineFile is a file with its text, or with the key of a Secret that has it.
type machineFile struct{ path, text, secret, key string }

// machines returns the machines that a template's objects describe, and the kinds of
// other objects that describe machines in unknown ways.
func machines(objects Manifests) (known []machine, other []string) {
	for _, o := range objects {
		group, _, _ := strings.Cut(text(o.Content, "apiVersion"), "/")
		bootstrap := group == "bootstrap.cluster.x-k8s.io"
		if !bootstrap && group != "controlplane.cluster.x-k8s.io" {
			continue
		}
		spec, _ := lookup(o.Content, parsePath("spec"))
		if inner, ok := lookup(o.Content, parsePath("spec.template.spec")); ok {
			spec = inner
		}
		s, _ := spec.(map[string]any)
		version := text(s, "version")
		if inner, ok := s["k0sConfigSpec"].(map[string]any); ok {
			s = inner
		}
		switch kind := o.Kind(); {
		case strings.HasPrefix(kind, "K0smotron"): // pods of the management cluster
		case strings.HasPrefix(kind, "K0s"):
			known = append(known, newMachine(o.String(), version, s))
		default:
			other = append(other, kind)
		}
	}
	return known, other
}

func newMachine(object, version string, spec map[string]any) machine {
	v, err := k0s.ParseVersion(version)
	m := machine{object: object, version: v, versioned: err == nil, downloadURL: text(spec, "downloadURL"), preloaded: spec["preInstalledK0s"] == true}
	for _, v := range items(spec, parsePath("files")) {
		f, _ := v.(map[string]any)
		m.files = append(m.files, machineFile{
			path: text(f, "path"), text: text(f, "content"),
			secret: text(f, "contentFrom", "secretRef", "name"), key: text(f, "contentFrom", "secretRef", "key"),
		})
	}
	// k0smotron renamed them with its API v1beta2.
	for _, key := range []string{"preStartCommands", "preK0sCommands"} {
		for _, v := range items(spec, parsePath(key)) {
			if s, ok := v.(string); ok {
				m.commands = append(m.commands, s)
			}
		}
	}
	return m
}
