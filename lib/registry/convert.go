package registry

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// In the first format, index.json was the record of a repository's manifests and
// tags, and journals/ held the latest changes to large ones.

const (
	// formatFile holds the version of the storage's format.
	formatFile  = "format"
	format      = "2\n"
	journalsDir = "journals"
)

// checkFormat reports whether a storage must be converted. The error means that it
// cannot be used.
func (d *Disk) checkFormat() (old bool, err error) {
	text, err := d.tree.root.ReadFile(formatFile)
	switch {
	case errors.Is(err, fs.ErrNotExist) && d.readOnly:
		return false, errors.New("its format is an earlier version's, and a read-only storage cannot be converted")
	case errors.Is(err, fs.ErrNotExist):
		return true, nil
	case err == nil && string(text) != format:
		err = fmt.Errorf("its format is %q, this version supports %q", strings.TrimSpace(string(text)), strings.TrimSpace(format))
	}
	return false, err
}

// convert converts a storage of the first format in place, before any request is
// served. The next start completes an interrupted conversion: converting a
// repository twice has the same result.
func (d *Disk) convert() error {
	err := d.walkRepos(context.Background(), d.convertRepo)
	if err == nil {
		err = d.writeFormat()
	}
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, ErrNoSpace) {
		err = fmt.Errorf("%w: the conversion needs an inode for each tag and manifest; the next start completes it", ErrNoSpace)
	}
	if err != nil {
		return fmt.Errorf("convert to this version's format: %w", err)
	}
	return d.tree.root.RemoveAll(journalsDir)
}

// writeFormat syncs the storage and then states its format.
func (d *Disk) writeFormat() error {
	f, temp, err := d.tempFile()
	if err != nil {
		return err
	}
	defer d.tree.remove(temp)
	_, err = io.WriteString(d.tree.writer(f, temp), format)
	if err = errors.Join(err, f.Close()); err == nil {
		err = unix.Syncfs(int(d.tree.top.Fd()))
	}
	if err == nil {
		err = d.tree.rename(temp, formatFile)
	}
	if err == nil {
		err = d.tree.syncDir(".")
	}
	return err
}

// convertRepo makes a repository's tags and manifests from its index.json and
// journal, without syncing them.
func (d *Disk) convertRepo(name string) error {
	index := repoPath(name, "index.json")
	f, err := d.tree.root.Open(index)
	if err == nil {
		defer f.Close()
		for e, damage := range indexEntries(f) {
			if damage != nil {
				if err := d.quarantine(index); err != nil {
					return err
				}
				d.warnings = append(d.warnings, fmt.Errorf("%s: %w; moved to %s; tags may be missing", index, damage, quarantineDir))
				if err := d.recoverManifests(name); err != nil {
					return err
				}
				break
			}
			if err := d.convertManifest(name, e); err != nil {
				return err
			}
		}
	}
	if err = ifExists(err); err == nil {
		err = d.replayJournal(name)
	}
	if err == nil {
		err = d.writeIndex(name)
	}
	return err
}

// convertManifest makes a blob a manifest with its tags, unless it is absent.
func (d *Disk) convertManifest(name string, e indexEntry) error {
	if there, err := d.tree.exists(blobPath(name, e.Digest)); err != nil || !there {
		return err
	}
	subject, err := d.subjectOf(context.Background(), name, e.Digest, e.MediaType)
	if err != nil {
		return err
	}
	if !mediaTypeForm.MatchString(e.MediaType) {
		e.MediaType = "application/octet-stream"
	}
	links := [][2]string{{manifestPath(name, e.Digest), e.MediaType}}
	if subject != "" {
		links = append(links, [2]string{referrerPath(name, subject, e.Digest), e.Digest.Path()})
	}
	for _, tag := range e.tags {
		links = append(links, [2]string{tagPath(name, tag), tagTarget(e.Digest)})
	}
	for _, link := range links {
		if is, err := d.tree.readlink(link[0]); err != nil || is == link[1] { // by an earlier attempt
			if err != nil {
				return err
			}
			continue
		}
		if err := d.tree.root.MkdirAll(path.Dir(link[0]), 0o755); err != nil {
			return err
		}
		if err := d.setLink(link[0], link[1]); err != nil {
			return err
		}
	}
	return nil
}

// recoverManifests makes blobs that look like manifests manifests, so that the next
// garbage collection keeps the blobs that they name.
func (d *Disk) recoverManifests(name string) error {
	ctx := context.Background()
	return d.tree.eachBlob(ctx, repoPath(name, "blobs"), func(_ string, digest Digest, _ *fileStat) error {
		if there, err := d.tree.exists(manifestPath(name, digest)); err != nil || there {
			return err
		}
		m, _, err := d.parsed(ctx, name, digest, "")
		if errors.Is(err, ErrManifestInvalid) || errors.Is(err, ErrManifestTooLarge) {
			return nil
		}
		if err != nil {
			return err
		}
		return d.convertManifest(name, indexEntry{Descriptor{MediaType: m.MediaType, Digest: digest}, nil})
	})
}

// replayJournal applies a repository's journal, up to a change that a crash
// truncated and that was never acknowledged.
func (d *Disk) replayJournal(name string) error {
	f, err := d.tree.root.Open(path.Join(journalsDir, fmt.Sprintf("%x", sha256.Sum256([]byte(name)))))
	if err != nil {
		return ifExists(err)
	}
	defer f.Close()
	for dec := json.NewDecoder(f); ; {
		var c change
		if err := dec.Decode(&c); err != nil || !c.valid() {
			if _, fault := errors.AsType[*fs.PathError](err); fault {
				return err
			}
			return nil
		}
		if c.Put != nil {
			if err := d.convertManifest(name, indexEntry{*c.Put, c.Tags}); err != nil {
				return err
			}
		}
		if c.Untag != "" {
			if err := d.tree.remove(tagPath(name, c.Untag)); err != nil {
				return err
			}
		}
		if c.Remove != "" {
			err := d.removeTags(context.Background(), name, map[string]Digest{tagTarget(c.Remove): c.Remove})
			if err == nil {
				err = d.tree.remove(manifestPath(name, c.Remove))
			}
			if err != nil {
				return err
			}
		}
	}
}
