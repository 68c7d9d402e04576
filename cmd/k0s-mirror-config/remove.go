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

// remove removes our files: first the drop-in, so that nothing refers to
// certs.d any more, then the directories there. Files of others are kept.
func (t *tool) remove(ctx context.Context) error {
	unlock, err := t.lock()
	if err != nil {
		return err
	}
	defer unlock()
	reload, err := t.running(ctx)
	if err != nil {
		return err
	}
	if err := t.sweep(); err != nil {
		return err
	}
	changed, err := t.removeDropIns()
	if err == nil {
		err = t.removeHosts(ctx)
	}
	return errors.Join(err, reload.follow(ctx, changed))
}

func (t *tool) removeDropIns() (changed bool, err error) {
	names, err := listNames(t.at(k0s.DropInDir))
	for _, name := range names {
		file := path.Join(k0s.DropInDir, name)
		if !strings.HasSuffix(name, ".toml") || !t.isOurs(file) {
			continue
		}
		removed, err := t.removeFile(file)
		if changed = changed || removed; err != nil {
			return changed, err
		}
	}
	return changed, err
}

func (t *tool) removeHosts(ctx context.Context) error {
	names, err := listNames(t.at(k0s.CertsDir))
	if err != nil {
		return err
	}
	for _, name := range names {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if !t.isOurs(path.Join(k0s.CertsDir, name, k0s.HostsName)) {
			continue
		}
		if err := t.removeDirectory(name); err != nil {
			return err
		}
	}
	if dir := t.at(k0s.CertsDir); !t.cfg.plan && len(names) > 0 && isEmpty(dir) {
		return os.Remove(dir)
	}
	return nil
}

// isOurs reports whether file was written by this program. An unreadable one
// was not.
func (t *tool) isOurs(file string) bool {
	content, err := hostfile.Read(t.at(file))
	return err == nil && ours(content)
}
