package main

import (
	"context"
	"errors"
	"path/filepath"

	"k0rdent-airgap/lib/k0s"
)

// program is k0s on this host: the program, the service, and the running process.
type program struct {
	k0s.Binary
	host    host
	version k0s.Version  // of the file, once it is known
	missing bool         // the file does not exist
	service *k0s.Service // nil if k0s is not installed as one
	running *k0s.Status  // nil if k0s is not running, empty if it does not answer
}

// findService reads which service is installed.
func (p *program) findService() (err error) {
	p.service, err = k0s.Installed(p.host.root)
	return err
}

// findRunning determines whether k0s is running.
func (p *program) findRunning(ctx context.Context) (err error) {
	p.running, err = p.Status(ctx, p.host.runDir, p.host.timeout)
	if errors.Is(err, k0s.ErrSilent) {
		p.running, err = &k0s.Status{}, nil
	}
	return err
}

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
