package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"sync"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"k0rdent-airgap/cmd/k0rdent-install/chart"
	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/client"
	"k0rdent-airgap/lib/pemfile"
)

// site is the registry that everything comes from. It is the chart's
// inventory: repositories are named as below the prefix.
type site struct {
	at     string // HOST[:PORT][/PREFIX]
	host   string // HOST[:PORT]
	public bool   // the vendor's own, which is not asked for lists
	reg    *client.Registry
	ca     []byte // PEM; may be empty
	pins   pins   // what tags must stand for

	mu    sync.Mutex
	repos []string
}

var _ chart.Inventory = (*site)(nil)

// registryNames are the flags about the registry.
var registryNames = client.Names{
	At: "--registry", CA: "--ca", PlainHTTP: "--plain-http", Timeout: "--answer-timeout",
	Username: "--username", PasswordFile: "--password-file",
}

// openSite prepares the registry, and asks nothing of it.
func (i *installer) openSite() (*site, error) {
	at, err := i.registryAddress()
	if err != nil {
		return nil, err
	}
	c := i.cfg
	if err := cli.CheckProxies(); err != nil {
		return nil, err
	}
	where, err := client.ParseSite(registryNames, at)
	if err != nil {
		return nil, err
	}
	s := &site{at: at, host: where.Host, public: c.online && c.registry == ""}
	if c.ca == "" && i.in.registry != nil && i.in.registry.CA != "" && c.registry == "" && !c.online {
		c.ca = i.in.registry.CA
	}
	if c.ca != "" {
		if _, s.ca, err = pemfile.Certificates(c.ca); err != nil {
			return nil, cli.Misuse("--ca: %w", err)
		}
	}
	s.reg, err = client.New(client.Options{
		At: at, Names: registryNames, PlainHTTP: c.plainHTTP, CAFile: c.ca,
		Username: c.username, PasswordFile: c.passwordFile, Jobs: 8, Timeout: c.answer,
		LoginFiles: cli.LoginFiles(), Agent: cli.Agent("k0rdent-install"), Log: i.log,
		Notice: func(text string) { i.progress.Warn("%s", text) },
	})
	return s, err
}

// registryAddress gives what was asked for, or what the records say: where
// oci-push has sent the images, or where oci-serve listens. A registry that
// listens everywhere is reached at this host's address.
func (i *installer) registryAddress() (string, error) {
	switch {
	case i.cfg.registry != "":
		return i.cfg.registry, nil
	case i.cfg.online:
		return publicRegistry, nil
	}
	at := i.in.at
	if r := i.in.registry; r != nil && (at.Host == "" || client.Loopback(at.Host)) {
		address, err := netip.ParseAddrPort(r.Address)
		if err == nil && address.Addr().IsUnspecified() && i.node.address.IsValid() {
			address = netip.AddrPortFrom(i.node.address, address.Port())
		}
		at.Host = r.Address
		if err == nil {
			at.Host = address.String()
		}
	}
	if at.Host == "" {
		return "", cli.Hint(cli.Misuse("no registry"), "name the site's with --registry HOST[:PORT][/PREFIX], or take the public ones with --online")
	}
	return at.String(), nil
}

// Repositories lists what the registry has, once.
func (s *site) Repositories(ctx context.Context) ([]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.repos != nil {
		return s.repos, nil
	}
	found := []string{}
	for name, err := range s.reg.Repositories(ctx) {
		if err != nil {
			return nil, fmt.Errorf("registry %s: list of repositories: %w", s.at, err)
		}
		found = append(found, name)
	}
	slices.Sort(found)
	s.repos = found
	return found, nil
}

// Tags lists the tags of a repository.
func (s *site) Tags(ctx context.Context, repository string) ([]string, error) {
	var found []string
	for tag, err := range s.reg.Tags(ctx, repository) {
		if err != nil {
			return nil, s.wrap(repository, "", err)
		}
		found = append(found, tag)
	}
	return found, nil
}

// Resolve gives the digest of a tag or of what a digest names.
func (s *site) Resolve(ctx context.Context, repository, reference string) (string, error) {
	digest, err := s.reg.Digest(ctx, repository, reference)
	if err == nil && digest == "" {
		err = client.ErrNotFound
	}
	if err == nil {
		err = s.unmoved(repository, reference, digest)
	}
	if isMoved(err) != nil {
		return "", err
	}
	return digest, s.wrap(repository, reference, err)
}

// Manifest gives a manifest and its type.
func (s *site) Manifest(ctx context.Context, repository, reference string) ([]byte, string, error) {
	if digest := s.pinned(repository, reference); digest != "" {
		return s.pinnedManifest(ctx, repository, reference, digest)
	}
	d, raw, err := s.reg.Manifest(ctx, repository, reference)
	return raw, string(d.MediaType), s.wrap(repository, reference, err)
}

// Blob opens a blob. Its bytes are not compared with the digest.
func (s *site) Blob(ctx context.Context, repository, digest string) (io.ReadCloser, error) {
	d, err := v1.NewHash(digest)
	if err != nil {
		return nil, err
	}
	return s.reg.Blob(ctx, repository, d), nil
}

// wrap names what was asked for, in the chart's terms.
func (s *site) wrap(repository, reference string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, client.ErrNotFound):
		return fmt.Errorf("%s:%s: %w", s.reg.Host()+"/"+s.reg.Repository(repository), reference, chart.ErrNotFound)
	}
	return fmt.Errorf("%s:%s: %w", s.reg.Host()+"/"+s.reg.Repository(repository), reference, err)
}
