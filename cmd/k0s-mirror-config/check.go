package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"strings"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/client"
	"k0rdent-airgap/lib/hostfile"
	"k0rdent-airgap/lib/k0s"
	"k0rdent-airgap/lib/ref"
)

// checker requests images from mirrors as containerd does.
type checker struct {
	*tool
	planned map[string][]byte  // the files that would be written, which are checked in place of those that exist; or nil
	mirrors map[string]*mirror // by URL and login
	failed  failed
	wrong   int      // files that keep containerd from using the mirrors
	aliases []string // that would add the missing names
	aliasAt string   // the mirror that they are for
}

// failed counts the images that cannot be pulled from the mirrors, by reason.
type failed struct {
	missing, moved int // no mirror has it; it has another digest
	unknown        int // no mirror could be asked
}

func (f failed) all() int { return f.missing + f.moved + f.unknown }

// of returns what is wrong with how many of all images.
func (f failed) of(images int) string {
	verb := "are"
	if f.missing == 1 {
		verb = "is"
	}
	if f.missing == f.all() {
		return fmt.Sprintf("%d of %d images %s not at the mirror", f.missing, images, verb)
	}
	var parts []string
	for _, p := range []struct {
		n    int
		what string
	}{{f.missing, verb + " not at the mirror"}, {f.moved, "with another digest"}, {f.unknown, "not checked"}} {
		if p.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", p.n, p.what))
		}
	}
	return fmt.Sprintf("%d of %d images failed: %s", f.all(), images, strings.Join(parts, ", "))
}

// mirror is a registry that a hosts.toml names, and the result of contacting
// it.
type mirror struct {
	entry  k0s.Entry
	host   string
	prefix string
	reg    *client.Registry
	err    error    // why it is not contacted any more
	known  []string // its repositories, once a similar name was searched for
	listed bool
}

// check requests every image that k0s needs or that was named from the mirrors
// that are configured on the host, or that flags and records name.
func (t *tool) check(ctx context.Context) error {
	if err := cli.CheckProxies(); err != nil {
		return err
	}
	images, err := t.wanted(ctx)
	if err != nil {
		return err
	}
	c := &checker{tool: t, mirrors: make(map[string]*mirror)}
	mirrors, err := t.mirrors()
	if err != nil {
		return err
	}
	if len(mirrors) > 0 {
		err = c.plan(ctx, mirrors, images)
	} else {
		err = c.configuration(ctx)
	}
	if err != nil {
		return err
	}
	for _, i := range images {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := c.image(ctx, i); err != nil {
			return err
		}
	}
	return c.verdict(len(images))
}

// wanted returns the distinct images to check.
func (t *tool) wanted(ctx context.Context) ([]wantedImage, error) {
	all, err := t.images(ctx)
	if err != nil {
		return nil, err
	}
	if len(all) == 0 {
		return nil, cli.Hint(cli.Misuse("no images to check"), "%s does not exist, so k0s cannot list its own; name images with --images FILE", t.cfg.k0s)
	}
	seen := make(map[ref.Reference]bool)
	return slices.DeleteFunc(all, func(a wantedImage) bool {
		twice := seen[a.image]
		seen[a.image] = true
		return twice
	}), nil
}

// plan sets the files that would be written for these mirrors. Both syntaxes
// result in the same requests, so the version of k0s need not be known.
func (c *checker) plan(ctx context.Context, mirrors []k0s.Mirror, images []wantedImage) error {
	version, err := c.version(ctx)
	if err != nil {
		version = k0s.Version{Major: 1, Minor: 36}
	}
	files, err := k0s.MirrorFiles(version, mirrors, hostsOf(images))
	c.planned = make(map[string][]byte)
	for _, f := range files {
		c.planned[f.Path] = f.Content
	}
	return err
}

// read returns a file below certs.d.
func (c *checker) read(path string) ([]byte, error) {
	if c.planned == nil {
		return hostfile.Read(c.at(path))
	}
	content, ok := c.planned[path]
	if !ok {
		return nil, &os.PathError{Op: "open", Path: path, Err: os.ErrNotExist}
	}
	return content, nil
}

var errNoMirrors = errors.New("no mirrors are configured")

// entries returns the registries that containerd contacts for the images of a
// host, in order, and the directory that configures them. An image that is
// named by its path in the mirror is requested there, below the mirror's
// prefix.
func (c *checker) entries(host string) ([]k0s.Entry, string, error) {
	for _, name := range k0s.HostDirs(host) {
		dir := path.Join(k0s.CertsDir, name)
		if c.planned == nil && !exists(c.at(dir)) {
			continue
		}
		file := path.Join(dir, k0s.HostsName)
		content, err := c.read(file)
		if c.planned != nil && errors.Is(err, os.ErrNotExist) {
			continue
		}
		var h k0s.Hosts
		if err == nil {
			h, err = k0s.ReadHosts(content)
		}
		switch {
		case errors.Is(err, os.ErrPermission):
			return nil, "", cli.Hint(err, "only root can read files with a password")
		case err != nil:
			return nil, "", fmt.Errorf("containerd contacts %s itself, since it cannot read %s: %w", host, c.at(file), err)
		case h.Server.URL == "":
			return h.Hosts, dir, fmt.Errorf("containerd contacts %s itself for images that the mirror lacks, since %s has no server", host, c.at(file))
		}
		return append(h.Hosts, h.Server), dir, nil
	}
	return nil, "", cli.Hint(fmt.Errorf("%s: %w", c.at(k0s.CertsDir), errNoMirrors), "give --mirror to check one that is not configured yet")
}

// mirror returns the client for a registry that a hosts.toml names. It keeps an
// error in it: containerd continues with the next one.
func (c *checker) mirror(ctx context.Context, dir string, e k0s.Entry) *mirror {
	key := e.URL + " " + e.Authorization
	if m := c.mirrors[key]; m != nil {
		return m
	}
	m := &mirror{entry: e}
	c.mirrors[key] = m
	scheme, rest, found := strings.Cut(e.URL, "://")
	if !found {
		scheme, rest = "https", e.URL
	}
	host, base, _ := strings.Cut(rest, "/")
	m.host = host
	base = strings.Trim(base, "/")
	switch {
	case base == "" && !e.OverridePath || base == "v2":
	case e.OverridePath && strings.HasPrefix(base, "v2/"):
		m.prefix = strings.TrimPrefix(base, "v2/")
	default:
		m.err = fmt.Errorf("containerd requests paths that do not exist: with a prefix the path must be /v2/PREFIX, with override_path = true")
		return m
	}
	var ca []byte
	for _, name := range e.CA {
		if !path.IsAbs(name) {
			name = path.Join(dir, name)
		}
		text, err := c.read(name)
		if err != nil {
			m.err = err
			return m
		}
		ca = append(append(ca, text...), '\n')
	}
	if m.reg, m.err = client.NewMirror(client.Mirror{
		Scheme: scheme, Host: host, CA: ca, CAFile: strings.Join(e.CA, ", "), Authorization: e.Authorization,
		Timeout: c.cfg.answer, Agent: cli.Agent("k0s-mirror-config"),
		Names: client.Names{
			At: "--mirror", CA: "--ca", PlainHTTP: "--mirror http://" + host, Username: "--username", PasswordFile: "--password-file", Timeout: "--answer-timeout",
		},
		Notice: func(text string) { c.progress.Warn("%s", text) },
	}); m.err == nil {
		m.err = m.reg.Connect(ctx)
	}
	return m
}

// verdict returns the error of the whole check; if no mirror answered, that is
// the only one.
func (c *checker) verdict(images int) error {
	if c.failed.all() == 0 {
		for _, m := range c.mirrors {
			if m.err != nil {
				c.progress.Problem(m.entry.URL, fmt.Errorf("%w; each pull fails there, then tries the next mirror", m.err))
			}
		}
		if c.wrong == 0 {
			return nil
		}
	}
	var reached, unreachable error
	for _, m := range c.mirrors {
		if cli.Code(m.err) == cli.CodeTryAgain {
			unreachable = fmt.Errorf("%s: %w", m.entry.URL, m.err)
		} else {
			reached = errors.New(c.failed.of(images))
		}
	}
	switch {
	case c.wrong > 0:
		return fmt.Errorf("wrong containerd files: %d; %s", c.wrong, c.failed.of(images))
	case reached == nil && unreachable != nil:
		return unreachable
	case len(c.aliases) > 0:
		return cli.Hint(reached, "add the missing names, which sends no content: oci-push --to %s --alias %s", c.aliasAt, strings.Join(c.aliases, ","))
	}
	return errors.New(c.failed.of(images))
}
