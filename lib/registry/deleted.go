package registry

import (
	"context"
	"errors"
	"maps"
	"path"
	"slices"
	"strings"
)

// A deletion by digest does not search all tags for those of the manifest. Before it
// removes the manifest it adds a mark in deletedPath, with which those tags count as
// absent. A sweep removes them before the index is written, and before the manifest
// is pushed again.

// deletedPath returns the directory of the marks.
func deletedPath(name string) string { return repoPath(name, "deleted") }

// deletedMark is the target of a mark, which is a link.
const deletedMark = "deleted"

// sweepAtOnce bounds how many manifests a sweep locks at a time.
const sweepAtOnce = 1000

// deletedMarkPath returns the mark of a manifest.
func deletedMarkPath(name string, digest Digest) string {
	return path.Join(deletedPath(name), referrerName(digest))
}

// deleted returns the digests of deleted manifests by their tags' target.
func (d *Disk) deleted(name string) (map[string]Digest, error) {
	targets := make(map[string]Digest)
	err := d.tree.eachName(deletedPath(name), func(entry []byte, _ byte) error {
		if digest, err := ParseDigest(strings.Replace(string(entry), "-", ":", 1)); err == nil {
			targets[tagTarget(digest)] = digest
		}
		return nil
	})
	return targets, err
}

// withoutDeleted returns the tags whose manifests exist.
func (d *Disk) withoutDeleted(name string, tags []string, deleted map[string]Digest) ([]string, error) {
	var kept []string
	for _, tag := range tags {
		target, err := d.tree.readlink(tagPath(name, tag))
		if err != nil {
			return nil, err
		}
		if digest, ok := deleted[target]; ok {
			_, err := d.mediaType(name, digest)
			if err == ErrManifestUnknown {
				continue
			}
			if err != nil {
				return nil, err
			}
			// The manifest may have been pushed again since the look at the tag,
			// which a sweep has then removed.
			if target, err = d.tree.readlink(tagPath(name, tag)); err != nil {
				return nil, err
			}
		}
		if target != "" {
			kept = append(kept, tag)
		}
	}
	return kept, nil
}

// sweep removes the tags of deleted manifests.
func (d *Disk) sweep(ctx context.Context, name string) error {
	deleted, err := d.deleted(name)
	if err != nil {
		return err
	}
	digests := slices.Sorted(maps.Values(deleted)) // so that two sweeps cannot deadlock
	for some := range slices.Chunk(digests, sweepAtOnce) {
		unlock := make([]func(), len(some)) // meanwhile none is pushed or deleted
		for i, digest := range some {
			unlock[i] = d.lockManifest(name, digest)
		}
		err := d.sweepLocked(ctx, name, some...)
		for _, f := range unlock {
			f()
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// sweepLocked removes the tags of deleted manifests that the caller has locked.
func (d *Disk) sweepLocked(ctx context.Context, name string, digests ...Digest) error {
	targets := make(map[string]Digest)
	var marks []edit
	for _, digest := range digests {
		_, err := d.mediaType(name, digest)
		switch {
		case errors.Is(err, errUntrusted): // the mark is needed until the state is known
			continue
		case err == ErrManifestUnknown:
			targets[tagTarget(digest)] = digest
		case err != nil: // otherwise a crash or a fault prevented the deletion
			return err
		}
		marks = append(marks, d.removeLink(deletedMarkPath(name, digest), deletedMark))
	}
	if err := d.removeTags(ctx, name, targets); err != nil {
		return err
	}
	return d.edit(marks...)
}

// removeTags removes the tags with certain targets, some at a time. The caller has
// locked the manifests.
func (d *Disk) removeTags(ctx context.Context, name string, targets map[string]Digest) error {
	for more := len(targets) > 0; more; {
		var edits []edit
		err := d.list(ctx, func() error {
			return d.tree.eachName(tagsPath(name), func(tag []byte, _ byte) error {
				file := tagPath(name, string(tag))
				target, err := d.tree.readlink(file)
				if _, ok := targets[target]; !ok || err != nil {
					return err
				}
				if edits = append(edits, d.removeLink(file, target)); len(edits) == maxPage {
					return errFound
				}
				return nil
			})
		})
		more = err == errFound
		if err = unless(err, errFound); err == nil {
			err = d.edit(edits...)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
