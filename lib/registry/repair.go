package registry

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
)

// SetAside removes what is damaged from its repositories, a manifest with its tags,
// and moves the file to quarantine/, so that a push stores it again. After a crash a
// scrub finds it again. No other method may run meanwhile.
func (d *Disk) SetAside(ctx context.Context, damage Damage) error {
	if damage.Tag != "" {
		name := damage.Repositories[0]
		target, err := d.tree.readlink(tagPath(name, damage.Tag))
		if err != nil {
			return err
		}
		defer d.indexes.note(name)
		return d.edit(d.removeLink(tagPath(name, damage.Tag), target))
	}
	if err := d.quarantine(damage.Path); err != nil {
		return err
	}
	for _, name := range damage.Repositories {
		err := d.DeleteManifest(ctx, name, "", damage.Digest)
		if errors.Is(err, ErrManifestUnknown) {
			err = d.unlink(name, damage.Digest)
		}
		if err != nil {
			return err
		}
	}
	if err := d.tree.remove(damage.Path); err != nil {
		return err
	}
	return ifExists(d.tree.syncDir(path.Dir(damage.Path)))
}

// quarantine links a file, if it exists, to its path below quarantine/, where it
// overwrites nothing.
func (d *Disk) quarantine(file string) error {
	info, err := d.tree.root.Stat(file)
	if err != nil {
		return ifExists(err)
	}
	to := path.Join(quarantineDir, file)
	if err := d.makeDir(path.Dir(to)); err != nil {
		return err
	}
	for n := 1; ; n++ {
		err := d.tree.link(file, to)
		if err == nil {
			return d.tree.syncDir(path.Dir(to))
		}
		if !errors.Is(err, fs.ErrExist) {
			return err
		}
		if there, err := d.tree.root.Stat(to); err == nil && os.SameFile(there, info) { // before a crash
			return nil
		}
		to = fmt.Sprintf("%s.%d", path.Join(quarantineDir, file), n)
	}
}
