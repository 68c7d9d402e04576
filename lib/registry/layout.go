package registry

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"
	"syscall"
)

// repoPath returns the path of a file in a repository's layout.
func repoPath(name, rest string) string {
	return path.Join(reposDir, name, layoutDir, rest)
}

func poolPath(digest Digest) string { return path.Join(poolDir, digest.Path()) }

func blobPath(name string, digest Digest) string {
	return repoPath(name, path.Join("blobs", digest.Path()))
}

// manifestPath returns the link that makes a blob a manifest. Its target is the
// manifest's media type.
func manifestPath(name string, digest Digest) string {
	return repoPath(name, path.Join("manifests", digest.Path()))
}

func tagsPath(name string) string     { return repoPath(name, "tags") }
func tagPath(name, tag string) string { return path.Join(tagsPath(name), tag) }

// tagTarget returns the target of a tag's link.
func tagTarget(digest Digest) string { return "../blobs/" + digest.Path() }

// tagDigest returns the digest that a tag's link points to.
func tagDigest(target string) (Digest, error) {
	rest, ok := strings.CutPrefix(target, "../blobs/")
	if !ok {
		return "", fmt.Errorf("not the link of a tag: %q", target)
	}
	return ParseDigest(strings.Replace(rest, "/", ":", 1))
}

// referrersPath returns the directory of a subject's referrers.
func referrersPath(name string, subject Digest) string {
	return repoPath(name, path.Join("referrers", subject.Path()))
}

// referrerPath returns the link of a referrer.
func referrerPath(name string, subject, digest Digest) string {
	return path.Join(referrersPath(name, subject), referrerName(digest))
}

// referrerName returns the base name of that link.
func referrerName(digest Digest) string { return strings.Replace(string(digest), ":", "-", 1) }

// hasRepo reports whether a repository exists.
func (d *Disk) hasRepo(name string) bool {
	there, err := d.tree.exists(repoPath(name, ""))
	return there && err == nil
}

// unknown returns err, or ErrNameUnknown if it is absent because the repository is.
func (d *Disk) unknown(name string, err, absent error) error {
	if err == absent && !d.hasRepo(name) {
		return ErrNameUnknown
	}
	return err
}

// lockManifest keeps other requests from pushing, deleting or sweeping a manifest.
func (d *Disk) lockManifest(name string, digest Digest) (unlock func()) {
	return d.manifests.lock(name + "@" + string(digest))
}

// mediaType returns a manifest's media type, or ErrManifestUnknown.
func (d *Disk) mediaType(name string, digest Digest) (string, error) {
	return d.target(manifestPath(name, digest))
}

// resolve returns the digest that a tag points to, or ErrManifestUnknown.
func (d *Disk) resolve(name, tag string) (Digest, error) {
	target, err := d.target(tagPath(name, tag))
	if err != nil {
		return "", err
	}
	return tagDigest(target)
}

// target returns the target of a link, once that is durable, or ErrManifestUnknown.
func (d *Disk) target(link string) (target string, err error) {
	err = d.names.read(link, func() (err error) {
		target, err = d.tree.readlink(link)
		return err
	})
	if err == nil && target == "" {
		err = ErrManifestUnknown
	}
	return target, err
}

// commit links a complete, synced file into the pool and a repository. The caller
// then removes it.
func (d *Disk) commit(file, name string, digest Digest) error {
	if err := d.link(file, poolPath(digest)); err != nil {
		return err
	}
	return d.linkIn(name, digest)
}

// linkIn links a blob from the pool into a repository's layout.
func (d *Disk) linkIn(name string, digest Digest) error {
	from, to := poolPath(digest), blobPath(name, digest)
	if err := d.makeDir(path.Dir(to)); err != nil {
		return err
	}
	err := d.link(from, to)
	for range 3 { // other requests may use up the copy's links meanwhile
		if !errors.Is(err, syscall.EMLINK) {
			break
		}
		if err = d.copyPooled(digest); err == nil {
			err = d.link(from, to)
		}
	}
	if err == nil {
		d.promise(to)
	}
	return err
}

// copyPooled replaces a file of the pool that cannot have more links by a copy.
// Repositories that link to the old one keep it.
func (d *Disk) copyPooled(digest Digest) (err error) {
	pooled := poolPath(digest)
	from, err := d.tree.root.Open(pooled)
	if err != nil {
		return err
	}
	defer from.Close()
	f, temp, err := d.tempFile()
	if err != nil {
		return err
	}
	defer func() {
		f.Close()
		err = errors.Join(err, d.tree.remove(temp))
	}()
	got, err := d.readDigest(io.TeeReader(from, d.tree.writer(f, temp)), digest.Algorithm())
	if err != nil {
		return storageError(err)
	}
	if got != digest {
		return fmt.Errorf("%s: %w", pooled, errOtherContent)
	}
	if err := d.tree.sync(f, temp); err != nil {
		return storageError(err)
	}
	full, err := from.Stat()
	if err != nil {
		return err
	}
	return d.edit(edit{
		name: pooled,
		already: func() (bool, error) { // another request did the same
			info, err := d.tree.root.Stat(pooled)
			return err == nil && !os.SameFile(info, full), err
		},
		do:   func() error { return d.tree.rename(temp, pooled) },
		undo: func() error { return nil }, // either file has the content
	})
}
