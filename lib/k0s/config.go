package k0s

import (
	"errors"

	"sigs.k8s.io/yaml"
)

// ErrUnbalanced means that a cluster with this k0s.yaml works with one controller
// only: kubelets, konnectivity agents and kube-proxy would know only the first,
// and "kubectl logs", webhooks and aggregated APIs would fail at every other.
var ErrUnbalanced = errors.New("neither spec.network.nodeLocalLoadBalancing nor spec.api.externalAddress leads to a second controller")

// Balanced returns ErrUnbalanced unless a k0s.yaml lets a cluster have several
// controllers.
func Balanced(config []byte) error {
	var c struct {
		Spec struct {
			API     struct{ ExternalAddress string }
			Network struct{ NodeLocalLoadBalancing struct{ Enabled bool } }
		}
	}
	if err := yaml.Unmarshal(config, &c); err != nil {
		return err
	}
	if c.Spec.API.ExternalAddress == "" && !c.Spec.Network.NodeLocalLoadBalancing.Enabled {
		return ErrUnbalanced
	}
	return nil
}
