package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/netip"
	"slices"
	"sync"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"k0rdent-airgap/cmd/k0rdent-install/chart"
	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/client"
)

// site is the registry that everything is pulled from. It is the chart's inventory,
// in which names of repositories are below the prefix.
type site struct {
	at   string // HOST[:PORT][/PREFIX]
	host string // HOST[:PORT]
	reg  *client.Registry
	ca   []byte      // PEM; may be empty
	pins client.Pins // the digest that each tag must have

	mu    sync.Mutex
	repos []string
}

var _ chart.Inventory = (*site)(nil)

// openSite prepares the client of the registry without connecting.
func (i *installer) openSite() (*site, error) {
	c := &i.cfg.Registry
	own, _ := netip.ParseAddr(i.node.Address)
	at := c.At
	switch {
	case at != "":
	case i.cfg.online:
		at = publicRegistry
	default:
		at = i.in.Address(own).String()
	}
	if at == "" {
		return nil, cli.Hint(cli.Misuse("no registry"), "name the site's registry with --registry HOST[:PORT][/PREFIX], or use the public ones with --online")
	}
	if c.CA == "" && c.At == "" && i.in.Registry != nil && !i.cfg.online {
		c.CA = i.in.Registry.CA
	}
	o := client.FromFlags(*c, tool, i.Log, i.Progress)
	o.At = at
	reg, where, ca, err := client.Site(o)
	if err != nil {
		return nil, err
	}
	if a, err := netip.ParseAddrPort(where.Host); err == nil && a.Addr().IsUnspecified() {
		return nil, cli.Hint(cli.Misuse("the registry listens on all addresses, so the one for nodes is unknown"), "set --registry to the address that nodes can reach")
	}
	s := &site{at: where.String(), host: where.Host, reg: reg, ca: ca}
	if !i.cfg.online {
		s.pins = client.Pins(nil).With(reg, i.in.Images)
	}
	return s, nil
}

// Repositories returns the repositories of the registry. It lists them once.
func (s *site) Repositories(ctx context.Context) ([]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.repos != nil {
		return s.repos, nil
	}
	found, err := collect(s.reg.Repositories(ctx))
	if err != nil {
		return nil, fmt.Errorf("registry %s: list of repositories: %w", s.at, err)
	}
	slices.Sort(found)
	s.repos = found
	return found, nil
}

// Tags returns the tags of a repository.
func (s *site) Tags(ctx context.Context, repository string) ([]string, error) {
	found, err := collect(s.reg.Tags(ctx, repository))
	return found, s.wrap(repository, "", err)
}

// collect returns the elements of a list, which is never nil, or its error.
func collect(list iter.Seq2[string, error]) ([]string, error) {
	all := []string{}
	for s, err := range list {
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, nil
}

// Resolve returns the digest of a manifest, given its tag or digest.
func (s *site) Resolve(ctx context.Context, repository, reference string) (string, error) {
	digest, err := s.reg.Digest(ctx, repository, reference)
	if err == nil && digest == "" {
		err = client.ErrNotFound
	}
	if err == nil {
		err = s.pins.Check(s.reg, repository, reference, digest)
	}
	if _, moved := errors.AsType[*client.MovedError](err); moved {
		return "", cli.Hint(err, "%s", client.MovedHint(tool))
	}
	return digest, s.wrap(repository, reference, err)
}

// Manifest returns a manifest and its media type.
func (s *site) Manifest(ctx context.Context, repository, reference string) ([]byte, string, error) {
	if digest := s.pins.Of(s.reg, repository, reference); digest != "" {
		if _, err := s.Resolve(ctx, repository, reference); err != nil {
			return nil, "", err
		}
		reference = digest
	}
	d, raw, err := s.reg.Manifest(ctx, repository, reference)
	return raw, string(d.MediaType), s.wrap(repository, reference, err)
}

// Blob opens a blob. It does not verify the digest.
func (s *site) Blob(ctx context.Context, repository, digest string) (io.ReadCloser, error) {
	d, err := v1.NewHash(digest)
	if err != nil {
		return nil, err
	}
	return s.reg.Blob(ctx, repository, d), nil
}

// wrap adds the reference to an error, and maps ErrNotFound to the chart's.
func (s *site) wrap(repository, reference string, err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, client.ErrNotFound) {
		err = chart.ErrNotFound
	}
	return fmt.Errorf("%s/%s:%s: %w", s.reg.Host(), s.reg.Repository(repository), reference, err)
}
