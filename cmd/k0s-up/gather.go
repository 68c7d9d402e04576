package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	kyaml "sigs.k8s.io/yaml"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/k0s"
	"k0rdent-airgap/lib/textfile"
)

// gather collects what this host, etcd and the Kubernetes API report about the
// host.
func (u *up) gather(ctx context.Context) (facts, error) {
	f := facts{name: u.node.name, earlier: u.state.Removal, last: u.cfg.last}
	for _, p := range u.node.networks {
		f.addresses = append(f.addresses, p.Addr())
	}
	s, err := u.k0s.service()
	if err != nil {
		return f, err
	}
	running, err := u.k0s.status(ctx)
	switch {
	case errors.Is(err, k0s.ErrSilent):
		running = &k0s.Status{}
	case errors.Is(err, fs.ErrNotExist):
		u.k0s.missing = true
	case err != nil:
		return f, err
	}
	u.k0s.running, f.running = running, running != nil
	if f.role = u.role(s); f.role != k0s.RoleController {
		return f, nil
	}
	if err := u.readStore(s, &f); err != nil {
		return f, err
	}
	if !f.stored || f.store == storeFile {
		return f, nil
	}
	if u.k0s.missing {
		return f, u.noK0s()
	}
	if f.store == storeEtcd {
		f.members, f.membersErr = u.k0s.EtcdMembers(ctx, u.host.timeout)
	}
	f.apiErr = errors.New("the Kubernetes API does not answer")
	if u.reach(ctx) {
		ctx, cancel := context.WithTimeout(ctx, u.host.timeout)
		defer cancel()
		f.api, f.apiErr = u.cluster.Controllers(ctx)
	}
	if ctx.Err() != nil {
		return f, context.Cause(ctx)
	}
	return f, nil
}

// noK0s returns the error for a missing k0s that is needed to remove its data.
func (u *up) noK0s() error {
	return cli.Hint(fmt.Errorf("%s does not exist, and only k0s can remove its own data", u.k0s.Path), "install it again from the bundle: k0s-extract BUNDLE")
}

// role returns this host's role, determined by its service, by the running k0s,
// or by what k0s left on disk.
func (u *up) role(s *k0s.Service) string {
	exists := func(path string) bool {
		_, err := os.Lstat(filepath.Join(u.host.data, path))
		return err == nil
	}
	switch r := u.k0s.running; {
	case s != nil:
		return s.Role
	case r != nil && r.Role == k0s.RoleWorker:
		return k0s.RoleWorker
	case r != nil || exists("etcd") || exists("db") || exists("pki/ca.key"):
		return k0s.RoleController
	case exists("kubelet.conf"):
		return k0s.RoleWorker
	}
	return ""
}

// configPath returns the k0s.yaml that the service reads.
func (u *up) configPath(s *k0s.Service) string {
	if given := s.Value("--config", "-c"); given != "" {
		return u.host.root + given
	}
	return u.host.k0sConfig
}

// readStore determines where a controller stores the cluster's state, and whether
// it has any. Data on disk takes precedence over k0s.yaml.
func (u *up) readStore(s *k0s.Service, f *facts) error {
	exists := func(path string) bool {
		_, err := os.Lstat(filepath.Join(u.host.data, path))
		return err == nil
	}
	var config struct {
		Spec struct {
			API struct {
				ExternalAddress string
				Port            uint16
			}
			Storage struct {
				Type string
				Etcd struct{ ExternalCluster any }
				Kine struct{ DataSource string }
			}
		}
	}
	path := u.configPath(s)
	text, err := textfile.Read(path)
	if err == nil {
		err = kyaml.Unmarshal(text, &config)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !exists("etcd/member") && !exists("db/state.db") && exists("pki/ca.key") {
		return cli.Hint(fmt.Errorf("%s: %w", path, err), "fix the file: it says where this controller stores the cluster's state")
	}
	storage := config.Spec.Storage
	f.apiPort = cmp.Or(config.Spec.API.Port, defaultAPIPort)
	f.balanced = config.Spec.API.ExternalAddress != ""
	f.store, f.stored = storeEtcd, exists("etcd/member")
	switch {
	case f.stored:
	case storage.Etcd.ExternalCluster != nil, storage.Type == "kine" && storage.Kine.DataSource != "" && !strings.HasPrefix(storage.Kine.DataSource, "sqlite:"):
		f.store, f.stored = storeShared, exists("pki/ca.key")
	case storage.Type == "kine", s.Has("--single"), exists("db/state.db"):
		f.store, f.stored = storeFile, true
	case s.Value("--token-file") != "":
		f.stored = exists("pki/etcd") // this host has asked the others to add it to etcd
	}
	return nil
}
