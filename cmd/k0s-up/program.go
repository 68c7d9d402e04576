package main

import (
	"context"
	"path/filepath"
	"time"

	"k0rdent-airgap/lib/k0s"
)

// quickRun bounds what k0s answers at once unless it is stuck.
const quickRun = 30 * time.Second

// program is the k0s of this host: the file, the service, and what runs.
type program struct {
	k0s.Binary
	host    host
	version k0s.Version // of the file, once it was asked
	running *k0s.Status // nil if none runs
	missing bool        // there is no file yet
}

// status asks the running k0s; nil if none runs.
func (p *program) status(ctx context.Context) (*k0s.Status, error) {
	return p.Status(ctx, p.host.runDir, p.host.patience)
}

// service returns the installed service; nil if there is none.
func (p *program) service() (*k0s.Service, error) { return k0s.Installed(p.host.root) }

// kubeconfig returns the name of the administrator's kubeconfig file.
func (p *program) kubeconfig() string {
	if s := p.running; s != nil && s.K0sVars.AdminKubeConfigPath != "" {
		return s.K0sVars.AdminKubeConfigPath
	}
	return filepath.Join(p.host.data, "pki", "admin.conf")
}

// kubeletConfig returns the name of the kubeconfig file of this node's kubelet.
func (p *program) kubeletConfig() string {
	if s := p.running; s != nil && s.K0sVars.KubeletAuthConfigPath != "" {
		return s.K0sVars.KubeletAuthConfigPath
	}
	return filepath.Join(p.host.data, "kubelet.conf")
}
