package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/client"
	"k0rdent-airgap/lib/pemfile"
	"k0rdent-airgap/lib/record"
	"k0rdent-airgap/lib/ref"
)

// site is the registry that k0s's images are pulled from.
type site struct {
	at   string // HOST[:PORT][/PREFIX]
	host string // HOST[:PORT]
	reg  *client.Registry
	pins client.Pins // the digest that each tag must have
}

// openSite prepares the client of the registry without connecting.
func (u *up) openSite() (*site, error) {
	c := &u.cfg.Registry
	at := cmp.Or(c.At, u.in.Address(u.node.address).String())
	if at == "" {
		return nil, cli.Hint(cli.Misuse("no registry"), "name the site's registry with --registry HOST[:PORT][/PREFIX], or use the public ones with --online")
	}
	if c.CA == "" && c.At == "" && u.in.Registry != nil {
		c.CA = u.in.Registry.CA
	}
	o := client.FromFlags(*c, tool, u.Log, u.Progress)
	o.At = at
	reg, where, _, err := client.Site(o)
	if err != nil {
		return nil, err
	}
	return &site{at: where.String(), host: where.Host, reg: reg}, nil
}

// maxSkew is how far two clocks may be apart. Certificates that k0s creates are
// valid from that moment on, and etcd and kubelets on other hosts check them.
const maxSkew = 5 * time.Minute

// checkSite checks the registry for k0s's images, and its clock.
func (u *up) checkSite(ctx context.Context) {
	s := u.site
	own := ""
	if u.node.address.IsValid() {
		own = u.node.address.String()
	}
	u.CheckLoopback(s.at, own)
	if err := s.reg.Connect(ctx); err != nil {
		u.Fail("registry", "", "%s: %v", s.at, err)
		return
	}
	u.checkTime(ctx)
	if u.cfg.join != "" || u.worker {
		return // the cluster's controllers determine its images
	}
	if err := u.planBalance(ctx); err != nil {
		u.Fail("k0s.yaml", "", "%v", err)
		return
	}
	if len(u.yaml.merged) == 0 || u.k0s.version.Major == 0 {
		return // reported already
	}
	images, err := u.k0s.ImagesFor(ctx, u.yaml.merged)
	if err == nil {
		err = u.checkImages(ctx, images)
	}
	if err != nil {
		u.Fail("images", "", "%v", err)
	}
}

// checkTime compares this host's clock with the registry's and with the validity of
// the registry's authorities.
func (u *up) checkTime(ctx context.Context) {
	now := time.Now()
	authorities, _, _ := pemfile.Certificates(u.cfg.CA) // openSite has read them; none without --ca
	for _, c := range authorities {
		if now.Before(c.NotBefore) || now.After(c.NotAfter) {
			u.Fail("time", "set the clock", "this host's clock is at %s, and the registry's authority is valid from %s to %s", stamp(now), stamp(c.NotBefore), stamp(c.NotAfter))
		}
	}
	r, err := u.site.reg.Page(ctx, "/v2/")
	if err != nil {
		u.Warn("time", "cannot read the registry's clock: %v", err)
		return
	}
	if !r.Date.IsZero() && now.Sub(r.Date).Abs() > maxSkew {
		u.Fail("time", "set the clock", "this host's clock is at %s, the registry's at %s", stamp(now), stamp(r.Date))
	}
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// checkImages reports each image that is not in the registry, or has another digest
// than the one that was pushed.
func (u *up) checkImages(ctx context.Context, images []ref.Reference) error {
	missing, moved, err := u.site.lookUp(ctx, images)
	if err != nil {
		return err
	}
	hint := client.MovedHint(tool)
	for _, err := range moved {
		u.Fail("registry", hint, "%v", err)
		hint = "" // once
	}
	u.Note("%d images of k0s", len(images)-len(missing)-len(moved))
	for _, m := range missing {
		what := fmt.Sprintf("not in the registry; required by k0s %v%s", u.k0s.version, m.instead)
		u.Missing = append(u.Missing, record.Image{Reference: m.image.String(), Type: "image", Status: record.StatusFailed, Error: what})
	}
	if len(missing) > 0 {
		u.Fail("images", "bundle-ls BUNDLE | oci-push --to "+u.site.at, "%d of %d images of k0s are not in the registry", len(missing), len(images))
	}
	return nil
}

// absence is an image that is not in the registry.
type absence struct {
	image   ref.Reference
	instead string // the tags that the registry has, for people
}

// lookUp returns the images that the registry lacks, and those whose tag has moved.
func (s *site) lookUp(ctx context.Context, images []ref.Reference) (missing []absence, moved []*client.MovedError, err error) {
	for _, i := range images {
		repository := s.repository(i)
		digest, err := s.reg.Digest(ctx, repository, tagOf(i))
		switch {
		case errors.Is(err, client.ErrNotFound) || err == nil && digest == "":
			missing = append(missing, absence{i, s.tags(ctx, repository)})
			continue
		case err != nil:
			return nil, nil, fmt.Errorf("%v: %w", i, err)
		}
		if e, ok := errors.AsType[*client.MovedError](s.pins.Check(s.reg, repository, tagOf(i), digest)); ok {
			moved = append(moved, e)
		}
	}
	return missing, moved, nil
}

// tagOf returns the tag of an image, or its digest if it has one.
func tagOf(i ref.Reference) string { return cmp.Or(string(i.Digest), i.Tag) }

// repository returns the repository of an image in the registry, below the prefix.
// With --k0s-images registry, k0s uses the registry's own names.
func (s *site) repository(i ref.Reference) string {
	if rest, inside := strings.CutPrefix(i.Host+"/"+i.Repository, s.at+"/"); inside {
		return rest
	}
	return i.Repository
}

// tags returns the tags that the registry has in a repository, for people.
func (s *site) tags(ctx context.Context, repository string) string {
	var all []string
	for tag, err := range s.reg.Tags(ctx, repository) {
		if err != nil || len(all) == 10 {
			break
		}
		all = append(all, tag)
	}
	if len(all) == 0 {
		return ""
	}
	slices.Sort(all)
	return "; the registry has " + repository + ":" + strings.Join(all, ", ")
}
