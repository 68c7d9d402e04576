package registry

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// indexDelay is how long after the last change a large index.json is written.
	// One below indexSmall bytes is written before the answer.
	indexDelay = 400 * time.Millisecond
	indexSmall = 16 << 10
	// annotationTag holds the tag of an entry in index.json (image-spec, annotations).
	annotationTag = "org.opencontainers.image.ref.name"
	// layoutText is the file that marks an OCI image layout (image-spec, image layout).
	layoutText = `{"imageLayoutVersion":"1.0.0"}`
)

// indexer writes the index.json of repositories that have changed. It is made
// from the tags and manifests for other programs; the store never reads it.
type indexer struct {
	mu      sync.Mutex
	m       map[string]*staleIndex
	writing sync.Mutex     // one large one at a time, for the memory that it takes
	running sync.WaitGroup // one for each timer, and one while all are renewed
	closing chan struct{}
	// unsynced says that an index may not be on disk yet. None of them is synced
	// before the storage is closed: after a crash all are compared.
	unsynced atomic.Bool
}

// staleIndex is a repository whose index.json is behind.
type staleIndex struct {
	writing sync.Mutex
	changes int // under way
	again   bool
	timer   *time.Timer
}

// stalePath is the file that notes, for the next start, that a repository's
// index.json is behind. "+" is in no name.
func stalePath(name string) string {
	return path.Join(staleDir, strings.ReplaceAll(name, "/", "+"))
}

// changing notes that a repository is being changed. Call the function that it
// returns when that is over.
func (x *indexer) changing(d *Disk, name string) (done func()) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.m == nil {
		x.m = make(map[string]*staleIndex)
	}
	s := x.m[name]
	if s == nil {
		s = new(staleIndex)
		x.m[name] = s
		// Not synced: it is for a start after a kill. Nor is it needed for anything
		// but the index, so that a failure stops nothing.
		if f, err := d.tree.root.OpenFile(stalePath(name), os.O_WRONLY|os.O_CREATE, 0o644); err == nil {
			f.Close()
		}
	}
	s.changes++
	return func() { x.changed(d, name, s) }
}

// changed has an index written: at once, if that takes no time and nobody else is
// changing the repository, or else before long.
func (x *indexer) changed(d *Disk, name string, s *staleIndex) {
	x.mu.Lock()
	s.changes--
	s.again = true
	last := s.changes == 0
	x.mu.Unlock()
	if info, err := d.tree.root.Stat(repoPath(name, "index.json")); last && (err != nil || info.Size() < indexSmall) {
		if x.write(d, name, s) == nil {
			return
		}
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.m[name] == s {
		x.schedule(d, name, s)
	}
}

// schedule has an index written when nothing has changed for indexDelay. x.mu is
// held.
func (x *indexer) schedule(d *Disk, name string, s *staleIndex) {
	if s.timer != nil && s.timer.Stop() {
		x.running.Done()
	}
	x.running.Add(1)
	s.timer = time.AfterFunc(indexDelay, func() {
		defer x.running.Done()
		x.writing.Lock()
		defer x.writing.Unlock()
		x.write(d, name, s)
	})
}

// write brings an index up to date. If that fails, as on a full disk, the next
// change or the next start tries again.
func (x *indexer) write(d *Disk, name string, s *staleIndex) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	x.mu.Lock()
	done := !s.again && x.m[name] != s // another request did it
	s.again = false
	x.mu.Unlock()
	if done {
		return nil
	}
	x.unsynced.Store(true)
	err := d.writeIndex(name)
	x.mu.Lock()
	defer x.mu.Unlock()
	if err != nil || s.changes > 0 || s.again || x.m[name] != s {
		return err
	}
	if s.timer != nil && s.timer.Stop() {
		x.running.Done()
	}
	delete(x.m, name)
	return d.tree.remove(stalePath(name))
}

// stop writes what is behind and waits for what is being written.
func (x *indexer) stop(d *Disk) (err error) {
	x.mu.Lock()
	if x.closing != nil {
		close(x.closing)
	}
	behind := make(map[string]*staleIndex)
	for name, s := range x.m {
		if s.timer == nil || s.timer.Stop() {
			behind[name] = s
			if s.timer != nil {
				x.running.Done()
			}
		}
	}
	x.mu.Unlock()
	x.running.Wait()
	for name, s := range behind {
		err = errors.Join(err, x.write(d, name, s))
	}
	if x.unsynced.Load() && err == nil {
		err = unix.Syncfs(int(d.top.Fd()))
	}
	return unlessStuck(err)
}

// renewStale writes the indexes that a process which was killed left behind.
// After a crash of the host nobody knows which they are, so all are compared, in
// the background.
func (d *Disk) renewStale() error {
	d.indexes.closing = make(chan struct{})
	err := d.tree.eachName(staleDir, func(entry []byte, _ byte) error {
		name := strings.ReplaceAll(string(entry), "+", "/")
		if ValidName(name) {
			if err := unlessStuck(d.indexes.renew(d, name)); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
		return nil
	})
	if err == nil && d.clock.behind() {
		d.indexes.running.Go(func() {
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			go func() {
				select {
				case <-d.indexes.closing:
					cancel()
				case <-ctx.Done():
				}
			}()
			if _, err := d.RenewIndexes(ctx); err == nil { // or the next start tries again
				d.clock.caughtUp()
			}
		})
	}
	return err
}

// RenewIndexes writes each index.json that does not say what its repository
// holds, and returns how many those were.
func (d *Disk) RenewIndexes(ctx context.Context) (renewed int, err error) {
	err = d.walkRepos(ctx, func(name string) error {
		same, err := d.sameIndex(ctx, name)
		if err != nil || same {
			return err
		}
		renewed++
		return d.indexes.renew(d, name)
	})
	return renewed, err
}

// renew writes an index that is behind, though nobody has changed the repository.
func (x *indexer) renew(d *Disk, name string) error {
	x.writing.Lock()
	defer x.writing.Unlock()
	x.mu.Lock()
	if x.m == nil {
		x.m = make(map[string]*staleIndex)
	}
	s := x.m[name]
	if s == nil {
		s = new(staleIndex)
		x.m[name] = s
	}
	s.again = true
	x.mu.Unlock()
	return x.write(d, name, s)
}

// sameIndex reports whether a repository's index.json is up to date.
func (d *Disk) sameIndex(ctx context.Context, name string) (bool, error) {
	f, err := d.tree.root.Open(repoPath(name, "index.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	w := &comparer{with: bufio.NewReader(f)}
	if err := d.index(ctx, name, w); err != nil {
		return false, err
	}
	_, err = w.with.ReadByte()
	return !w.differs && err == io.EOF, nil
}

// comparer reports whether what is written differs from what it is compared with.
type comparer struct {
	with    *bufio.Reader
	differs bool
}

func (c *comparer) Write(p []byte) (int, error) {
	there := make([]byte, len(p))
	if !c.differs {
		_, err := io.ReadFull(c.with, there)
		c.differs = err != nil || !bytes.Equal(there, p)
	}
	return len(p), nil
}

// writeIndex replaces a repository's index.json, and makes its layout one that
// other programs know.
func (d *Disk) writeIndex(name string) error {
	if !d.hasRepo(name) { // removed by a collection of garbage
		return nil
	}
	if there, err := d.tree.exists(repoPath(name, "oci-layout")); err != nil || !there {
		if err := d.replaceFile(repoPath(name, "oci-layout"), func(w io.Writer) error {
			_, err := io.WriteString(w, layoutText)
			return err
		}); err != nil {
			return err
		}
	}
	return d.replaceFile(repoPath(name, "index.json"), func(w io.Writer) error {
		return d.index(context.Background(), name, w)
	})
}

// replaceFile replaces a file that can be made again at any time: readers see
// the old or the new one, and nothing is synced.
func (d *Disk) replaceFile(name string, write func(io.Writer) error) (err error) {
	f, temp, err := d.tempFile()
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(storageError(err), d.tree.remove(temp))
		}
	}()
	out := bufio.NewWriterSize(d.tree.writer(f, temp), 64<<10)
	err = write(out)
	if err == nil {
		err = out.Flush()
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = d.tree.rename(temp, name)
	}
	return err
}

// index writes what index.json is to say: an entry for each tag, and one for
// each manifest without a tag.
func (d *Disk) index(ctx context.Context, name string, w io.Writer) error {
	ix := &indexWriter{w: w, separator: "\n"}
	for _, algorithm := range algorithms {
		for i, dir := range []string{"manifests/", "blobs/"} {
			o, err := d.tree.openDir(repoPath(name, dir+algorithm))
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err != nil {
				return err
			}
			defer o.close()
			if i == 0 {
				ix.manifests[indexOf(algorithm)] = o
			} else {
				ix.blobs[indexOf(algorithm)] = o
			}
		}
	}
	if _, err := io.WriteString(w, `{"schemaVersion":2,"mediaType":"`+mediaTypeIndex+`","manifests":[`); err != nil {
		return err
	}
	if err := d.indexTags(ctx, name, ix); err != nil {
		return err
	}
	if err := d.indexUntagged(ctx, name, ix); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n]}\n")
	return err
}

func indexOf(algorithm string) int { return slices.Index(algorithms, algorithm) }

func (d *Disk) indexTags(ctx context.Context, name string, ix *indexWriter) error {
	tags, err := d.tree.openDir(tagsPath(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer tags.close()
	for last, more := "", true; more; {
		var page []string
		if page, more, err = d.namesIn(ctx, tagsPath(name), last, noLimit); err != nil {
			return err
		}
		for _, tag := range page {
			last = tag
			target, err := tags.readlink(tag)
			if err != nil {
				return err
			}
			digest, err := tagDigest(target)
			if err != nil || !ValidTag(tag) { // deleted since, or not this program's
				continue
			}
			if err := ix.entry(digest, tag); err != nil {
				return err
			}
		}
	}
	slices.Sort(ix.tagged)
	return nil
}

func (d *Disk) indexUntagged(ctx context.Context, name string, ix *indexWriter) error {
	for _, algorithm := range algorithms {
		for last, more := "", true; more; {
			var page []string
			var err error
			if page, more, err = d.namesIn(ctx, repoPath(name, "manifests/"+algorithm), last, noLimit); err != nil {
				return err
			}
			for _, hex := range page {
				last = hex
				digest, err := ParseDigest(algorithm + ":" + hex)
				if err != nil {
					continue // not this program's
				}
				if _, tagged := slices.BinarySearch(ix.tagged, shortDigest(digest)); tagged {
					continue
				}
				if err := ix.entry(digest, ""); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// indexWriter writes the entries of an index.json.
type indexWriter struct {
	w                io.Writer
	manifests, blobs [2]*openDir // by algorithm; nil if there are none
	tagged           []uint64    // short digests of what has a tag
	separator        string
	line             []byte
}

// shortDigest stands for a digest where only accidents would make two the same,
// and would do no more than leave an entry without a tag out of index.json.
func shortDigest(digest Digest) uint64 {
	_, hex, _ := strings.Cut(string(digest), ":")
	var b [8]byte
	for i := range b {
		n, _ := strconv.ParseUint(hex[2*i:2*i+2], 16, 8) // the form of a Digest
		b[i] = byte(n)
	}
	return binary.BigEndian.Uint64(b[:])
}

// entry writes the descriptor of a manifest, if it is there. Digests and tags
// hold nothing that JSON would escape.
func (ix *indexWriter) entry(digest Digest, tag string) error {
	algorithm, hex, _ := strings.Cut(string(digest), ":")
	manifests, blobs := ix.manifests[indexOf(algorithm)], ix.blobs[indexOf(algorithm)]
	if manifests == nil || blobs == nil {
		return nil
	}
	mediaType, err := manifests.readlink(hex)
	if err != nil || mediaType == "" {
		return err
	}
	size, err := blobs.size(hex)
	if err != nil || size < 0 {
		return err
	}
	quoted, err := json.Marshal(mediaType)
	if err != nil {
		return err
	}
	b := append(ix.line[:0], ix.separator...)
	b = append(append(append(b, `{"mediaType":`...), quoted...), `,"digest":"`...)
	b = strconv.AppendInt(append(append(b, digest...), `","size":`...), size, 10)
	if tag != "" {
		b = append(append(append(b, `,"annotations":{"`+annotationTag+`":"`...), tag...), `"}`...)
		ix.tagged = append(ix.tagged, shortDigest(digest))
	}
	ix.line, ix.separator = append(b, '}'), ",\n"
	_, err = ix.w.Write(ix.line)
	return err
}
