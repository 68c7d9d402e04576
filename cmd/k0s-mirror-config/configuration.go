package main

import (
	"context"
	"errors"
	"os"
	"path"
	"strings"

	"k0rdent-airgap/lib/hostfile"
	"k0rdent-airgap/lib/k0s"
)

// configuration looks for anything that keeps containerd from reading certs.d
// at all: a drop-in that is missing or for another k0s, and files of others. It
// also asks k0s itself, if it supports that.
func (c *checker) configuration(ctx context.Context) error {
	version, err := c.version(ctx)
	if err != nil {
		c.log.Info("drop-ins are not checked", "error", err)
		return ctx.Err()
	}
	s := new(survey)
	managed, err := c.surveyMain(s, version)
	if err != nil {
		return err
	}
	if err := c.surveyDropIns(s, version, managed); err != nil {
		return err
	}
	if err := c.ownDropIn(s, version); err != nil {
		return err
	}
	if err := c.sysinfo(ctx, s, version); err != nil {
		return err
	}
	c.wrong = len(s.conflicts)
	return c.list(s)
}

// ownDropIn checks the drop-in that this program writes.
func (c *checker) ownDropIn(s *survey, version k0s.Version) error {
	file := c.at(k0s.DropInPath)
	content, err := hostfile.Read(file)
	switch {
	case errors.Is(err, os.ErrNotExist):
		s.conflict(file, "missing, so containerd does not read %s", k0s.CertsDir)
		return nil
	case err != nil:
		return err
	case !ours(content): // reported already
		return nil
	}
	settings, reason := readSettings(content, version)
	switch {
	case reason != "":
		s.conflict(file, "%s", reason)
	case settings.configPath != k0s.CertsDir:
		s.conflict(file, "not for k0s %s: run this program again", version)
	}
	return nil
}

// sysinfo adds k0s's own verdict on drop-ins, available from 1.36 on.
func (c *checker) sysinfo(ctx context.Context, s *survey, version k0s.Version) error {
	if version.Containerd() == 1 || c.cfg.root != "/" || !exists(c.cfg.k0s) {
		return nil
	}
	probes, err := c.binary.Sysinfo(ctx)
	if err != nil {
		return err
	}
	for _, p := range probes {
		if strings.HasPrefix(p.Name, "Containerd config snippet: ") && (p.Verdict == "rejected" || p.Verdict == "error") {
			file := p.Value
			if file == "" {
				file = path.Join(k0s.DropInDir, strings.TrimPrefix(p.Name, "Containerd config snippet: "))
			}
			s.conflict(file, "k0s does not start with it: %s", p.Message)
		}
	}
	return nil
}
