package registry

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sync/semaphore"
	"golang.org/x/sync/singleflight"
	"golang.org/x/sys/unix"
)

// Directories below the storage.
const (
	poolDir       = "blobs"
	reposDir      = "repositories"
	uploadsDir    = "uploads"
	quarantineDir = "quarantine"
	lockFile      = "lock"
	layoutDir     = "_layout"
)

// algorithms are the digest algorithms that the store supports.
var algorithms = []string{"sha256", "sha512"}

const (
	// copyBuffer is the size in bytes of the pieces that uploads are written in.
	copyBuffer = 64 << 10
	// parseBudget bounds the bytes of manifests in memory.
	parseBudget = 2 * maxManifest
	// maxListing bounds how many lists read directories at a time.
	maxListing = 2
)

// Disk is the Store on disk that the package comment describes.
type Disk struct {
	dir         string
	tree        tree
	lock        *os.File // nil for a storage that is only scrubbed
	readOnly    bool     // the file system was when the storage was opened
	clock       clock
	names       names // of the storage's files
	manifests   names // of manifests, for requests that change several of its files
	buffers     sync.Pool
	bulk        *semaphore.Weighted // of bulkBuffers
	bulkBuffers sync.Pool
	parsing     *semaphore.Weighted
	listing     *semaphore.Weighted
	flights     singleflight.Group
	uploads     uploadTable
	indexes     indexer
	health      health
	warnings    []error
}

// InUseError means that another process has the storage open.
type InUseError struct {
	Dir string
	PID int // 0 if unknown
}

func (e *InUseError) Error() string {
	if e.PID == 0 {
		return fmt.Sprintf("storage %s: in use by another process", e.Dir)
	}
	return fmt.Sprintf("storage %s: in use by process %d", e.Dir, e.PID)
}

// OpenDisk opens or creates the storage in a directory and removes what a crash
// left behind. It does not read what is stored, except to convert a storage of an
// earlier version once. A storage on a read-only file system can be read. The
// error is an *InUseError while another process has the storage open.
func OpenDisk(dir string) (*Disk, error) {
	if err := makeStorage(dir); err != nil {
		return nil, err
	}
	d, err := newDisk(dir)
	if err != nil {
		return nil, err
	}
	if err := d.lockStorage(); err != nil {
		d.closeFiles()
		return nil, err
	}
	if err := d.prepare(); err != nil {
		d.closeFiles()
		return nil, fmt.Errorf("storage %s: %w", dir, err)
	}
	if !d.readOnly {
		d.indexes.start(d, d.clock.unclean)
	}
	return d, nil
}

// IsStorage returns an error unless dir is a storage.
func IsStorage(dir string) error {
	if _, err := os.Stat(dir); err != nil {
		return err
	}
	for _, name := range []string{poolDir, reposDir} {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			return fmt.Errorf("storage %s: not a registry's: %w", dir, err)
		}
	}
	return nil
}

// Warnings returns problems that OpenDisk found, for the operator.
func (d *Disk) Warnings() []error { return d.warnings }

// makeStorage makes a directory and syncs the path to it.
func makeStorage(dir string) error {
	if info, err := os.Stat(dir); err == nil {
		if !info.IsDir() {
			return &os.PathError{Op: "open", Path: dir, Err: syscall.ENOTDIR}
		}
		return nil
	}
	parent := filepath.Dir(filepath.Clean(dir))
	if err := makeStorage(parent); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	f, err := os.Open(parent)
	if err != nil {
		return nil // the directory cannot be read, only searched
	}
	defer f.Close()
	return f.Sync()
}

func newDisk(dir string) (*Disk, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	top, err := root.Open(".")
	if err != nil {
		root.Close()
		return nil, err
	}
	d := &Disk{
		dir: dir, tree: tree{root: root, top: top},
		names: newNames(), manifests: newNames(),
		parsing: semaphore.NewWeighted(parseBudget),
		listing: semaphore.NewWeighted(maxListing),
		bulk:    semaphore.NewWeighted(maxBulk),
	}
	d.tree.makeRoom = d.endAbandoned
	d.uploads.m, d.uploads.quota.Limit = make(map[string]*upload), maxSessions
	d.buffers.New = func() any { b := make([]byte, copyBuffer); return &b }
	d.bulkBuffers.New = func() any { b := make([]byte, bulkBuffer); return &b }
	return d, nil
}

func (d *Disk) closeFiles() error {
	err := errors.Join(d.tree.root.Close(), d.tree.top.Close())
	if d.lock != nil {
		err = errors.Join(err, d.lock.Close())
	}
	return err
}

// lockStorage takes the lock, which ends with the process.
func (d *Disk) lockStorage() error {
	f, err := d.tree.root.OpenFile(lockFile, os.O_RDWR|os.O_CREATE, 0o644)
	if errors.Is(err, syscall.EROFS) {
		d.readOnly = true
		f, err = d.tree.root.Open(lockFile)
	}
	if err != nil {
		return err
	}
	d.lock = f
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		if err != syscall.EWOULDBLOCK {
			return fmt.Errorf("storage %s: lock: %w", d.dir, err)
		}
		text, _ := io.ReadAll(io.LimitReader(f, 32))
		pid, _ := strconv.Atoi(strings.TrimSpace(string(text)))
		return &InUseError{d.dir, pid}
	}
	if d.readOnly {
		return nil
	}
	// In place and of constant length, so that a full disk does not matter.
	_, err = f.WriteAt(fmt.Appendf(nil, "%-11d\n", os.Getpid()), 0)
	return unlessStuck(err)
}

// unlessStuck returns err, or nil if the disk is full or read-only and the rest can
// be done without writing.
func unlessStuck(err error) error {
	if known := storageError(err); isFull(known) || errors.Is(known, ErrReadOnly) {
		return nil
	}
	return err
}

// prepare makes the storage ready for use.
func (d *Disk) prepare() error {
	d.clock.open(&d.tree)
	old, err := d.checkFormat()
	if err != nil || d.readOnly {
		return err
	}
	if d.clock.unclean {
		if err := unix.Syncfs(int(d.tree.top.Fd())); err != nil {
			return fmt.Errorf("sync: %w", err)
		}
	}
	for _, dir := range []string{poolDir + "/sha256", poolDir + "/sha512", reposDir, uploadsDir} {
		if err := d.makeDir(dir); err != nil {
			return err
		}
	}
	if err := d.probe(); err != nil {
		return err
	}
	if err := d.openUploads(); err != nil {
		return err
	}
	if old {
		if err := d.convert(); err != nil {
			return err
		}
	}
	return unlessStuck(d.clock.save(&d.tree))
}

// probe checks that the storage is one file system, with both kinds of links.
func (d *Disk) probe() error {
	first, err := d.tree.stat(uploadsDir)
	for _, dir := range []string{poolDir, poolDir + "/sha256", poolDir + "/sha512", reposDir} {
		if err != nil {
			return err
		}
		var stat *fileStat
		if stat, err = d.tree.stat(dir); err == nil && stat.Dev != first.Dev {
			return fmt.Errorf("%w: %s and %s", ErrTwoFileSystems, uploadsDir, dir)
		}
	}
	if err != nil {
		return err
	}
	for what, link := range map[string]func(old, name string) error{"hard": d.tree.root.Link, "symbolic": d.tree.root.Symlink} {
		name := path.Join(uploadsDir, tempPrefix+"probe")
		d.tree.root.Remove(name) // left by a crash
		if err := unlessStuck(link(lockFile, name)); err != nil {
			return fmt.Errorf("the file system must support %s links: %w", what, err)
		}
		d.tree.root.Remove(name)
	}
	return nil
}

// Close updates every index.json and releases the storage. No other method may run
// meanwhile.
func (d *Disk) Close() error {
	if d.readOnly {
		return d.closeFiles()
	}
	complete, err := d.indexes.stop(d)
	if complete {
		err = ifExists(unlessStuck(d.clock.close(&d.tree))) // Purge may have removed it
	}
	return errors.Join(err, d.closeFiles())
}

// now returns the storage's time.
func (d *Disk) now() time.Time { return d.clock.now(&d.tree) }

// tempFile creates a file in uploads/. A start removes the ones that are left.
func (d *Disk) tempFile() (*os.File, string, error) {
	name := path.Join(uploadsDir, tempPrefix+newID())
	f, err := d.tree.create(name)
	return f, name, storageError(err)
}
