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
	Digest       Digest // what it should hold; "" for an index.json
	Size         int64  // in bytes
	Repositories []string
	Err          error
}

// Reasons of a Damage; others are the disk's or those of an index.json's form.
var (
	ErrOtherContent = errors.New("its content has another digest")
	ErrAbsent       = errors.New("listed in index.json, but absent")
)

// Scrubbed is what a scrub went through. Good and Bad count blobs and indexes.
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
	root, err := os.OpenRoot(dir)
	if err != nil {
		return Scrubbed{}, err
	}
	defer root.Close()
	if _, err := root.Stat(poolDir); err != nil {
		return Scrubbed{}, fmt.Errorf("storage %s: not a registry's: %w", dir, err)
	}
	return newDisk(dir, root).Scrub(ctx, w)
}

// Scrub reads every blob and every index.json and tells of each that is damaged.
// Memory does not depend on what is stored.
func (d *Disk) Scrub(ctx context.Context, w Watcher) (Scrubbed, error) {
	usage, err := d.Usage()
	if err != nil {
		return Scrubbed{}, err
	}
	w.Total(usage.Bytes)
	s := scrub{disk: d, ctx: ctx, watcher: w}
	// Indexes first: to set a blob aside, those of its repositories are changed.
	err = d.walkRepos(ctx, "", "", s.repository)
	for _, algorithm := range []string{"sha256", "sha512"} {
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
	err := s.disk.eachFile(dir, func(file string, info fs.FileInfo, _ *syscall.Stat_t) error {
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

// repository looks at a repository's index, and at those of its blobs that are
// not links to the pool, as in a storage that was copied without its links.
func (s *scrub) repository(name string) error {
	if err := s.index(name); err != nil {
		return err
	}
	for _, algorithm := range []string{"sha256", "sha512"} {
		err := s.directory(repoPath(name, path.Join("blobs", algorithm)), algorithm, func(f blobFile) error {
			if pooled, err := s.disk.root.Stat(poolPath(f.digest)); err == nil && os.SameFile(pooled, f.info) {
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

// index looks for manifests that a repository lists and does not have. While
// the registry runs, an index.json may list for a moment what was deleted, so
// they are looked for twice.
func (s *scrub) index(name string) error {
	absent, size, err := s.absent(name)
	if len(absent) > 0 && s.disk.lock == nil {
		select {
		case <-time.After(2 * foldDelay):
		case <-s.ctx.Done():
			return s.ctx.Err()
		}
		absent, size, err = s.absent(name)
	}
	if errors.Is(err, ErrNameUnknown) { // removed meanwhile
		return nil
	}
	if err != nil {
		if cause := errors.Unwrap(err); cause != nil { // without the path, which the damage has
			err = cause
		}
		return s.tell(Damage{Path: repoPath(name, "index.json"), Size: size, Repositories: []string{name}, Err: err})
	}
	for _, digest := range absent {
		if err := s.tell(Damage{Path: blobPath(name, digest), Digest: digest, Repositories: []string{name}, Err: ErrAbsent}); err != nil {
			return err
		}
	}
	if len(absent) == 0 {
		s.Good++
	}
	return nil
}

func (s *scrub) absent(name string) (absent []Digest, size int64, err error) {
	ix, size, err := s.disk.readIndex(name)
	if err != nil {
		return nil, size, err
	}
	for digest := range ix.manifests {
		if _, err := s.disk.root.Stat(blobPath(name, digest)); errors.Is(err, fs.ErrNotExist) {
			absent = append(absent, digest)
		}
	}
	return absent, size, nil
}

// blob reads a file and compares its digest with its name.
func (s *scrub) blob(b blobFile) error {
	f, err := s.disk.root.Open(b.path)
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
	err = d.walkRepos(ctx, "", "", func(name string) error {
		if info, err := d.root.Stat(blobPath(name, digest)); err == nil && os.SameFile(info, file) {
			names = append(names, name)
		}
		return nil
	})
	return names, err
}
