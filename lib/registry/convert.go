package registry

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

// This file reads the first format of the storage, in which index.json was the
// record of a repository's manifests and tags, and journals/ had the latest
// changes to large ones.

const (
	// formatFile holds the version of the storage's format.
	formatFile  = "format"
	format      = "2\n"
	journalsDir = "journals"
	// maxChange bounds a line of a journal, in bytes.
	maxChange = 256 << 10
)

// checkFormat refuses a storage that would have to be converted.
func (d *Disk) checkFormat() error {
	text, err := d.tree.root.ReadFile(formatFile)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return errors.New("its format is that of an earlier version, and it cannot be converted while it is read-only")
	case err != nil:
		return err
	case string(text) != format:
		return fmt.Errorf("its format is %q, this version supports %q", strings.TrimSpace(string(text)), strings.TrimSpace(format))
	}
	return nil
}

// convert converts a storage of the first format to this one, in place. If it is
// interrupted, it starts over: converting twice has the same result. No
// request is served before it has ended.
func (d *Disk) convert() error {
	err := d.checkFormat()
	if _, missing := d.tree.root.Lstat(formatFile); !errors.Is(missing, fs.ErrNotExist) {
		return err
	}
	converted := false
	err = d.walkRepos(context.Background(), func(name string) error {
		converted = true
		return d.convertRepo(name)
	})
	if err != nil {
		return fmt.Errorf("convert to this version's format: %w", storageError(err))
	}
	if converted {
		if err := unix.Syncfs(int(d.top.Fd())); err != nil {
			return fmt.Errorf("sync: %w", err)
		}
	}
	f, temp, err := d.tempFile()
	if err != nil {
		return err
	}
	_, err = f.WriteString(format)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = d.tree.rename(temp, formatFile)
	}
	if err == nil {
		err = d.tree.syncDir(".")
	}
	if err != nil {
		return storageError(err)
	}
	return d.tree.root.RemoveAll(journalsDir)
}

// convertRepo makes the tags and manifests of a repository from its index.json
// and its journal. What cannot be read of the index is set aside.
func (d *Disk) convertRepo(name string) error {
	c := converter{d, name}
	index := repoPath(name, "index.json")
	f, err := d.tree.root.Open(index)
	if err == nil {
		damage := parseIndex(f, c.put)
		f.Close()
		var failed *convertError
		if errors.As(damage, &failed) {
			return failed.err
		}
		if damage != nil {
			if err := d.quarantine(index); err != nil {
				return err
			}
			d.warnings = append(d.warnings, fmt.Errorf("%s: %w; it is kept in %s, and tags may be missing", index, damage, quarantineDir))
			if err := c.recover(); err != nil {
				return err
			}
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := c.replay(); err != nil {
		return err
	}
	return d.writeIndex(name)
}

// converter writes what a repository of the first format held. It syncs nothing.
type converter struct {
	d    *Disk
	name string
}

// convertError is a fault of the disk, not of what is being read.
type convertError struct{ err error }

func (e *convertError) Error() string { return e.err.Error() }

// put makes a blob a manifest, unless it is absent, and points a tag at it.
func (c converter) put(entry Descriptor, tags ...string) error {
	file, blob := manifestPath(c.name, entry.Digest), blobPath(c.name, entry.Digest)
	if there, err := c.d.tree.exists(blob); err != nil || !there {
		return failedConvert(err)
	}
	subject, err := c.d.subjectOf(context.Background(), c.name, entry.Digest, entry.MediaType)
	if err != nil {
		return failedConvert(err)
	}
	if !validMediaType(entry.MediaType) {
		entry.MediaType = "application/octet-stream"
	}
	links := [][2]string{{file, entry.MediaType}}
	if subject != "" {
		links = append(links, [2]string{path.Join(referrersPath(c.name, subject), referrerName(entry.Digest)), entry.Digest.path()})
	}
	for _, tag := range tags {
		links = append(links, [2]string{tagPath(c.name, tag), tagTarget(entry.Digest)})
	}
	for _, link := range links {
		if err := c.d.tree.root.MkdirAll(path.Dir(link[0]), 0o755); err != nil {
			return failedConvert(err)
		}
		if err := c.d.setLink(link[0], link[1]); err != nil {
			return failedConvert(err)
		}
	}
	return nil
}

func failedConvert(err error) error {
	if err == nil {
		return nil
	}
	return &convertError{err}
}

// recover makes manifests of the blobs that look like some, so that the next
// collection of garbage does not take what they name.
func (c converter) recover() error {
	for _, algorithm := range algorithms {
		err := c.d.tree.eachName(repoPath(c.name, "blobs/"+algorithm), func(hex []byte, _ byte) error {
			digest, err := ParseDigest(algorithm + ":" + string(hex))
			if err != nil {
				return nil
			}
			if there, err := c.d.tree.exists(manifestPath(c.name, digest)); err != nil || there {
				return err
			}
			m, _, err := c.d.parsed(context.Background(), c.name, digest, "")
			if errors.Is(err, ErrManifestInvalid) || errors.Is(err, ErrManifestTooLarge) {
				return nil
			}
			if err != nil {
				return err
			}
			return c.put(Descriptor{MediaType: m.MediaType, Digest: digest})
		})
		var failed *convertError
		if errors.As(err, &failed) {
			err = failed.err
		}
		if err != nil {
			return err
		}
	}
	return nil
}
