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
	err := u.k0s.findRunning(ctx)
	if u.k0s.missing = errors.Is(err, fs.ErrNotExist); err != nil && !u.k0s.missing {
		return f, err
	}
	f.running = u.k0s.running != nil
	if f.role = u.role(); f.role != k0s.RoleController {
		return f, nil
	}
	if err := u.readStore(&f); err != nil {
		return f, err
	}
	if f.store == "" {
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

// kept reports whether a path exists in k0s's data directory.
func (u *up) kept(path string) bool {
	_, err := os.Lstat(filepath.Join(u.host.data, path))
	return err == nil
}

// role returns this host's role, determined by its service, by the running k0s,
// or by what k0s left on disk.
func (u *up) role() string {
	switch r := u.k0s.running; {
	case u.k0s.service != nil:
		return u.k0s.service.Role
	case r != nil && r.Role == k0s.RoleWorker:
		return k0s.RoleWorker
	case r != nil || u.kept("etcd") || u.kept("db") || u.kept("pki/ca.key"):
		return k0s.RoleController
	case u.kept("kubelet.conf"):
		return k0s.RoleWorker
	}
	return ""
}

// configPath returns the k0s.yaml that the service reads.
func (u *up) configPath() string {
	if given := u.k0s.service.Value("--config", "-c"); given != "" {
		return u.host.root + given
	}
	return u.host.k0sConfig
}

// readStore determines where a controller shares the cluster's state. Data on disk takes
// precedence over k0s.yaml.
func (u *up) readStore(f *facts) error {
	s, path := u.k0s.service, u.configPath()
	var config spec
	text, err := textfile.Read(path)
	if err == nil {
		config, err = parseSpec(text)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !u.kept("etcd/member") && !u.kept("db/state.db") && u.kept("pki/ca.key") {
		return cli.Hint(fmt.Errorf("%s: %w", path, err), "fix the file: it says where this controller stores the cluster's state")
	}
	storage := config.Storage
	f.apiPort = uint16(cmp.Or(config.API.Port, defaultAPIPort))
	f.balanced = config.API.ExternalAddress != ""
	server := storage.Kine.DataSource != "" && !strings.HasPrefix(storage.Kine.DataSource, "sqlite:")
	switch {
	case u.kept("etcd/member"):
		f.store = storeEtcd
	case storage.Etcd.ExternalCluster != nil, storage.Type == "kine" && server:
		if u.kept("pki/ca.key") {
			f.store = storeShared
		}
	case storage.Type == "kine", s.Has("--single"), u.kept("db/state.db"): // a file
	case s.Value("--token-file") != "" && u.kept("pki/etcd"): // it has asked the others to add it
		f.store = storeEtcd
	}
	return nil
}
