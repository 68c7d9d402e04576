package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"sync/atomic"
	"syscall"
	"time"
)

// Damage is a file of the storage that is not what its name promises.
type Damage struct {
	Path         string // below the storage
	Digest       Digest // what it should hold; "" for a tag
	Tag          string // that points at what is absent
	Size         int64  // in bytes
	Repositories []string
	Err          error
}

// Reasons of a Damage; others are the disk's.
var (
	ErrOtherContent = errors.New("its content has another digest")
	ErrAbsent       = errors.New("listed as a manifest, but absent")
	ErrDangling     = errors.New("points to a manifest that is absent")
)

// Scrubbed is what a scrub went through. Good and Bad count blobs, tags that
// point at nothing and manifests that are absent.
type Scrubbed struct {
	Good, Bad int
	Bytes     int64 // that were read
}

// Watcher is told how a scrub goes.
type Watcher struct {
	Total func(bytes int64)  // about how much there is to read; called once
	Read  *atomic.Int64      // kept at the number of bytes read so far
	Found func(Damage) error // may set what is damaged aside
}

// Scrub looks at the storage in a directory without holding it: a registry may
// serve from it meanwhile, since what lies under a digest does not change. See
// Disk.Scrub.
func Scrub(ctx context.Context, dir string, w Watcher) (Scrubbed, error) {
	d, err := newDisk(dir)
	if err != nil {
		return Scrubbed{}, err
	}
	defer d.closeFiles()
	if _, err := d.tree.root.Stat(poolDir); err != nil {
		return Scrubbed{}, fmt.Errorf("storage %s: not a registry's: %w", dir, err)
	}
	return d.Scrub(ctx, w)
}

// Scrub reads every blob and looks up every tag and manifest, and tells of each
// that is damaged.
// Memory does not depend on what is stored.
func (d *Disk) Scrub(ctx context.Context, w Watcher) (Scrubbed, error) {
	usage, err := d.Usage()
	if err != nil {
		return Scrubbed{}, err
	}
	w.Total(usage.Bytes)
	s := scrub{disk: d, ctx: ctx, watcher: w}
	err = d.walkRepos(ctx, s.repository)
	for _, algorithm := range algorithms {
		if err == nil {
			err = s.directory(path.Join(poolDir, algorithm), algorithm, s.blob)
		}
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

// blobFile is a file under a digest.
type blobFile struct {
	path       string
	repository string // "" in the pool
	digest     Digest
	info       fs.FileInfo
}

func (s *scrub) tell(damage Damage) error {
	s.Bad++
	return s.watcher.Found(damage)
}

// directory calls visit for each file of a directory that has a digest's name.
func (s *scrub) directory(dir, algorithm string, visit func(blobFile) error) error {
	err := s.disk.tree.eachFile(dir, func(file string, info fs.FileInfo, _ *syscall.Stat_t) error {
		digest, err := ParseDigest(algorithm + ":" + info.Name())
		if err != nil {
			return nil // not this program's
		}
		return visit(blobFile{path: file, digest: digest, info: info})
	})
	if errors.Is(err, fs.ErrNotExist) { // no blob with this algorithm, or removed meanwhile
		return nil
	}
	return err
}

// repository looks at a repository's tags and manifests, and at those of its
// blobs that are not links to the pool, as in a storage that was copied without
// its links.
func (s *scrub) repository(name string) error {
	if err := s.links(name); err != nil {
		return err
	}
	for _, algorithm := range algorithms {
		err := s.directory(repoPath(name, path.Join("blobs", algorithm)), algorithm, func(f blobFile) error {
			if pooled, err := s.disk.tree.root.Stat(poolPath(f.digest)); err == nil && os.SameFile(pooled, f.info) {
				return nil
			}
			f.repository = name
			return s.blob(f)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// links looks for tags that point at no manifest, and for manifests that are
// absent. While the registry runs, one may be deleted between two looks at it, so
// those found are looked at again after a while: none is in that state for longer
// than a deletion takes.
func (s *scrub) links(name string) error {
	found, err := s.dangling(name, nil)
	for range 2 {
		if err != nil || len(found) == 0 || s.disk.lock != nil {
			break
		}
		select {
		case <-time.After(time.Second):
		case <-s.ctx.Done():
			return s.ctx.Err()
		}
		found, err = s.dangling(name, found)
	}
	if err != nil {
		return err
	}
	for _, damage := range found {
		if err := s.tell(damage); err != nil {
			return err
		}
	}
	return nil
}

// dangling returns what points at nothing: of some that were found before, or
// of all if those are nil.
func (s *scrub) dangling(name string, before []Damage) (found []Damage, err error) {
	add := func(damage Damage, err error) error {
		if err == nil && damage.Err != nil && len(found) < maxDangling {
			found = append(found, damage)
		}
		return err
	}
	if before != nil {
		for _, damage := range before {
			if damage.Tag != "" {
				err = add(s.tag(name, damage.Tag))
			} else {
				err = add(s.manifest(name, damage.Digest))
			}
			if err != nil {
				return nil, err
			}
		}
		return found, nil
	}
	err = s.disk.tree.eachName(tagsPath(name), func(tag []byte, _ byte) error {
		if !ValidTag(string(tag)) {
			return s.ctx.Err() // not this program's
		}
		return add(s.tag(name, string(tag)))
	})
	for _, algorithm := range algorithms {
		if err != nil {
			return nil, err
		}
		err = s.disk.tree.eachName(repoPath(name, "manifests/"+algorithm), func(hex []byte, _ byte) error {
			digest, err := ParseDigest(algorithm + ":" + string(hex))
			if err != nil {
				return s.ctx.Err() // not this program's
			}
			return add(s.manifest(name, digest))
		})
	}
	return found, err
}

// maxDangling bounds how much of one repository is reported at once.
const maxDangling = 10000

// tag looks at a tag; the Damage has an Err if it points at no manifest.
func (s *scrub) tag(name, tag string) (Damage, error) {
	target, err := s.disk.tree.readlink(tagPath(name, tag))
	if err != nil || target == "" { // deleted meanwhile
		return Damage{}, err
	}
	damage := Damage{Path: tagPath(name, tag), Tag: tag, Repositories: []string{name}}
	digest, err := tagDigest(target)
	if err != nil {
		damage.Err = err
		return damage, nil
	}
	there, err := s.disk.tree.exists(manifestPath(name, digest))
	if err != nil || there {
		return Damage{}, err
	}
	damage.Err = fmt.Errorf("%w: %s", ErrDangling, digest)
	return damage, nil
}

// manifest does the same for a manifest whose blob is absent.
func (s *scrub) manifest(name string, digest Digest) (Damage, error) {
	if there, err := s.disk.tree.exists(blobPath(name, digest)); err != nil || there {
		return Damage{}, err
	}
	if there, err := s.disk.tree.exists(manifestPath(name, digest)); err != nil || !there {
		return Damage{}, err
	}
	return Damage{Path: blobPath(name, digest), Digest: digest, Repositories: []string{name}, Err: ErrAbsent}, nil
}

// blob reads a file and compares its digest with its name.
func (s *scrub) blob(b blobFile) error {
	f, err := s.disk.tree.root.Open(b.path)
	if errors.Is(err, fs.ErrNotExist) { // deleted meanwhile
		return nil
	}
	if err == nil {
		var got Digest
		got, err = s.disk.readDigest(&scrubReader{f, s}, b.digest.Algorithm())
		f.Close()
		if err == nil && got != b.digest {
			err = ErrOtherContent
		}
	}
	if s.ctx.Err() != nil {
		return s.ctx.Err()
	}
	if err == nil {
		s.Good++
		return nil
	}
	damage := Damage{Path: b.path, Digest: b.digest, Size: b.info.Size(), Repositories: []string{b.repository}, Err: err}
	if b.repository == "" {
		if damage.Repositories, err = s.disk.linked(s.ctx, b.digest, b.info); err != nil {
			return err
		}
	}
	return s.tell(damage)
}

// scrubReader counts, and stops when the scrub is to stop.
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

// linked gives the repositories that have a link to a file of the pool.
func (d *Disk) linked(ctx context.Context, digest Digest, file fs.FileInfo) (names []string, err error) {
	err = d.walkRepos(ctx, func(name string) error {
		if info, err := d.tree.root.Stat(blobPath(name, digest)); err == nil && os.SameFile(info, file) {
			names = append(names, name)
		}
		return nil
	})
	return names, err
}
