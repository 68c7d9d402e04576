package main

import (
	"context"
	"path/filepath"
	"time"

	"k0rdent-airgap/lib/k0s"
)

// quickRun bounds k0s commands that answer at once unless k0s hangs.
const quickRun = 30 * time.Second

// program is k0s on this host: the program, the service, and the running process.
type program struct {
	k0s.Binary
	host    host
	version k0s.Version // of the file, once it is known
	running *k0s.Status // nil if k0s is not running
	missing bool        // the file does not exist
}

// status returns the status of the running k0s, or nil if it is not running.
func (p *program) status(ctx context.Context) (*k0s.Status, error) {
	return p.Status(ctx, p.host.runDir, p.host.timeout)
}

// service returns the installed service, or nil.
func (p *program) service() (*k0s.Service, error) { return k0s.Installed(p.host.root) }

// kubeconfig returns the path of the administrator's kubeconfig.
func (p *program) kubeconfig() string {
	if s := p.running; s != nil && s.K0sVars.AdminKubeConfigPath != "" {
		return s.K0sVars.AdminKubeConfigPath
	}
	return filepath.Join(p.host.data, "pki", "admin.conf")
}

// kubeletConfig returns the path of this node's kubelet's kubeconfig.
func (p *program) kubeletConfig() string {
	if s := p.running; s != nil && s.K0sVars.KubeletAuthConfigPath != "" {
		return s.K0sVars.KubeletAuthConfigPath
	}
	return filepath.Join(p.host.data, "kubelet.conf")
}
