package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync/atomic"
	"time"

	"k0rdent-airgap/lib/ref"
)

// Damage is a file of the storage whose content does not match its name.
type Damage struct {
	Path         string // in the storage
	Digest       Digest // that its name promises; "" for a tag
	Tag          string // that points to an absent manifest
	Size         int64  // in bytes
	Repositories []string
	Affected     []string // repository:tag, the first ones of each repository
	Err          error
}

// Errors of a Damage; others are the disk's.
var (
	errOtherContent = errors.New("its content has another digest")
	errAbsent       = errors.New("listed as a manifest, but absent")
	errDangling     = errors.New("points to a manifest that is absent")
)

// Scrubbed is the result of a scrub. Good and Bad count blobs; Bad also counts
// dangling tags and absent manifests.
type Scrubbed struct {
	Good, Bad int
	Bytes     int64 // read
}

// Watcher follows a scrub.
type Watcher struct {
	Total func(bytes int64)  // called once with the approximate amount to read
	Read  *atomic.Int64      // updated with the bytes read so far
	Found func(Damage) error // may call SetAside
}

// Scrub is Disk.Scrub for a storage that a registry may serve meanwhile.
func Scrub(ctx context.Context, dir string, w Watcher) (Scrubbed, error) {
	if err := IsStorage(dir); err != nil {
		return Scrubbed{}, err
	}
	d, err := newDisk(dir)
	if err != nil {
		return Scrubbed{}, err
	}
	defer d.closeFiles()
	return d.Scrub(ctx, w)
}

// Scrub reads every blob, looks up every tag and manifest, and reports damage.
// Memory does not depend on what is stored.
func (d *Disk) Scrub(ctx context.Context, w Watcher) (Scrubbed, error) {
	usage, err := d.Usage()
	if err != nil {
		return Scrubbed{}, err
	}
	w.Total(usage.Bytes)
	s := scrub{disk: d, ctx: ctx, watcher: w}
	err = d.walkRepos(ctx, s.repository)
	if err == nil {
		err = d.tree.eachBlob(ctx, poolDir, func(file string, digest Digest, stat *fileStat) error {
			return s.blob("", file, digest, stat)
		})
	}
	s.Bytes = w.Read.Load()
	return s.Scrubbed, err
}

type scrub struct {
	Scrubbed
	disk    *Disk
	ctx     context.Context
	watcher Watcher
}

func (s *scrub) report(damage Damage) error {
	for _, name := range damage.Repositories {
		tags := []string{damage.Tag}
		if damage.Tag == "" {
			var err error
			if tags, err = s.disk.tagsLeadingTo(s.ctx, name, damage.Digest); err != nil {
				return err
			}
		}
		for _, tag := range tags {
			damage.Affected = append(damage.Affected, name+":"+tag)
		}
		if len(tags) == 0 {
			damage.Affected = append(damage.Affected, name)
		}
	}
	s.Bad++
	return s.watcher.Found(damage)
}

// repository checks a repository's tags and manifests, and the blobs that are not
// links to the pool, as in a copied storage.
func (s *scrub) repository(name string) error {
	if err := s.links(name); err != nil {
		return err
	}
	return s.disk.tree.eachBlob(s.ctx, repoPath(name, "blobs"), func(file string, digest Digest, stat *fileStat) error {
		if pooled, err := s.disk.tree.stat(poolPath(digest)); err == nil && pooled.same(stat) {
			return nil
		}
		return s.blob(name, file, digest, stat)
	})
}

// maxDangling bounds the tags and manifests that are reported of a repository.
const maxDangling = 10000

// links looks for dangling tags and absent manifests. While a registry runs, a
// deletion may look like one for as long as it takes, so links checks again.
func (s *scrub) links(name string) error {
	var found []Damage
	add := func(damage Damage) error {
		damage.Repositories = []string{name}
		if err := s.link(name, &damage); err != nil || damage.Err == nil || len(found) == maxDangling {
			return err
		}
		found = append(found, damage)
		return nil
	}
	err := s.disk.tree.eachName(tagsPath(name), func(tag []byte, _ byte) error {
		if ref.CheckTag(string(tag)) != nil {
			return s.ctx.Err() // not the registry's
		}
		return add(Damage{Path: tagPath(name, string(tag)), Tag: string(tag)})
	})
	if err == nil {
		err = s.disk.eachManifest(s.ctx, name, func(digest Digest) error {
			return add(Damage{Path: blobPath(name, digest), Digest: digest})
		})
	}
	for range 2 {
		if err != nil || len(found) == 0 || s.disk.lock != nil {
			break
		}
		select {
		case <-time.After(time.Second):
		case <-s.ctx.Done():
			return s.ctx.Err()
		}
		again := found
		found = nil
		for _, damage := range again {
			err = errors.Join(err, add(damage))
		}
	}
	for _, damage := range found {
		if err == nil {
			err = s.report(damage)
		}
	}
	return err
}

// link sets the Err of a damage if its tag dangles or its manifest is absent.
func (s *scrub) link(name string, damage *Damage) error {
	tree, digest := &s.disk.tree, damage.Digest
	damage.Err = nil
	if damage.Tag == "" {
		blob, err := tree.exists(damage.Path)
		if err != nil || blob {
			return err
		}
		listed, err := tree.exists(manifestPath(name, digest))
		if listed {
			damage.Err = errAbsent
		}
		return err
	}
	target, err := tree.readlink(damage.Path)
	if err != nil || target == "" { // deleted meanwhile
		return err
	}
	if digest, damage.Err = tagDigest(target); damage.Err != nil {
		return nil
	}
	for _, file := range []string{manifestPath(name, digest), deletedMarkPath(name, digest)} {
		if there, err := tree.exists(file); err != nil || there {
			return err
		}
	}
	damage.Err = fmt.Errorf("%w: %s", errDangling, digest)
	return nil
}

// blob compares a file's digest with its name.
func (s *scrub) blob(repository, file string, digest Digest, stat *fileStat) error {
	f, err := s.disk.tree.root.Open(file)
	if errors.Is(err, fs.ErrNotExist) { // deleted meanwhile
		return nil
	}
	if err == nil {
		var got Digest
		got, err = s.disk.readDigest(&scrubReader{f, s}, digest.Algorithm())
		f.Close()
		if err == nil && got != digest {
			err = errOtherContent
		}
	}
	if s.ctx.Err() != nil {
		return s.ctx.Err()
	}
	if err == nil {
		s.Good++
		return nil
	}
	damage := Damage{Path: file, Digest: digest, Size: stat.Size, Repositories: []string{repository}, Err: err}
	if repository == "" {
		if damage.Repositories, err = s.disk.linked(s.ctx, digest, stat); err != nil {
			return err
		}
	}
	return s.report(damage)
}

// scrubReader counts bytes and ends with the context.
type scrubReader struct {
	f io.Reader
	s *scrub
}

func (r *scrubReader) Read(p []byte) (int, error) {
	if err := r.s.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := r.f.Read(p)
	r.s.watcher.Read.Add(int64(n))
	return n, err
}

// linked returns the repositories that link to a file of the pool.
func (d *Disk) linked(ctx context.Context, digest Digest, file *fileStat) (names []string, err error) {
	err = d.walkRepos(ctx, func(name string) error {
		if stat, err := d.tree.stat(blobPath(name, digest)); err == nil && stat.same(file) {
			names = append(names, name)
		}
		return nil
	})
	return names, err
}

// maxAffected bounds the tags of a repository that a Damage names.
const maxAffected = 10

// tagsLeadingTo returns the first tags of a repository whose manifests name a digest,
// directly or through other manifests.
func (d *Disk) tagsLeadingTo(ctx context.Context, name string, digest Digest) ([]string, error) {
	leading := make(digestSet)
	leading.add(digest)
	for before := 0; before < len(leading); {
		before = len(leading)
		err := d.eachManifest(ctx, name, func(m Digest) error {
			d.eachNamed(name, m, func(named Digest) { // as far as a damaged one can be read
				if leading.has(named) {
					leading.add(m)
				}
			})
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	page := lowest{limit: maxAffected}
	err := d.tree.eachName(tagsPath(name), func(tag []byte, _ byte) error {
		target, err := d.tree.readlink(tagPath(name, string(tag)))
		if digest, bad := tagDigest(target); err == nil && bad == nil && leading.has(digest) {
			page.add(tag)
		}
		return err
	})
	tags, _ := page.done()
	return tags, err
}
