// Package bundle opens a vendor's bundle in any of its packings and walks its
// entries as a stream.
//
// A bundle is a tree of OCI archives. It arrives as tar.gz (of one gzip member
// or many), tar.zst, tar, an unpacked directory, or any of the first three on
// stdin or cut into a series of parts; the content decides which. Entries come
// in archive order and are never held in memory, whose use is bounded by
// constants whatever the bundle's size:
//
//	source read-ahead   1 MiB    (not for a plain tar file or a directory)
//	gzip read-ahead     8 MiB    (gzipBlock × gzipBlocks)
//	zstd                the window the file asks for, at most 128 MiB, and
//	                    some blocks; zstd's own levels ask for 8 MiB or less
//	names seen          16 bytes and map overhead an entry, 131,072 entries
//
// Nothing read here is trusted: names are checked, links and devices are
// refused, reads never leave a directory (os.Root), and a stream is read to its
// very end, so that its checksum is verified. Errors about the content are the
// Err values.
package bundle

import (
	"bufio"
	"context"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"iter"
	"os"
	"path/filepath"
	"sync/atomic"

	"crypto/sha256"

	"k0rdent-airgap/lib/ahead"
	"k0rdent-airgap/lib/gunzip"
)

// The read-ahead of a stream's source: 1 MiB in all.
const (
	sourceBlock  = 256 << 10
	sourceBlocks = 4
)

// The gzip read-ahead keeps inflating, the bottleneck, busy while the consumer
// waits for a registry or a disk: 8 MiB last about 15 ms at the 550 MB/s of one
// core. Block sizes from 64 KiB to 2 MiB measured equally fast; small blocks
// lose less of the data before damage.
const (
	gzipBlock  = 512 << 10
	gzipBlocks = 16
)

// zstdWindow is the largest window that zstd may ask for. Its own levels ask
// for 8 MiB or less without --ultra, and for up to 128 MiB with it.
const zstdWindow = 128 << 20

// A Bundle is an open bundle. Its methods, except Offset, belong to one
// goroutine; an Entry's At may be read from any.
type Bundle struct {
	// Format is one of the Format constants.
	Format string
	// Size is the bundle's size in bytes (of a directory: the sum of its
	// files), or 0 where it cannot be known.
	Size int64

	file   *os.File      // nil on a pipe and for a directory
	own    bool          // file is ours to close
	parts  *Parts        // of a series; file is then nil
	base   int64         // where in file the bundle begins
	root   *os.Root      // the directory
	opened []*dirFile    // files of the directory that At may have open
	source *ahead.Reader // of a stream
	buffer *bufio.Reader // between source and gzip
	stream io.Reader     // the tar; nil for a seekable tar and a directory
	free   func()        // ends what stream owns
	hash   hash.Hash
	name   string // the file's name, which may name the top directory
	used   bool   // the stream has been walked
	whole  bool   // and to its end
	broken error  // damage met before
	offset atomic.Int64
}

// An Entry is a regular file of the bundle. The entry and its Reader are valid
// until the iteration continues.
type Entry struct {
	// Path is relative to the bundle's root, slash-separated and clean.
	Path string
	// Size is the payload's length in bytes.
	Size int64
	// Reader reads the payload. Its errors include damage of the bundle
	// (DamageError), which the iteration then reports as well. Unread bytes
	// are skipped, by seeking where the source can.
	io.Reader
	// At reads any part of the payload, and remains usable until the bundle
	// is closed. It is nil if the source cannot seek.
	At io.ReaderAt
}

// Option configures Open.
type Option func(*Bundle)

// WithDigest hashes every byte of the file as it is read, so that Digest
// identifies what the entries came from. A plain tar is then read as a stream
// (At is nil). Open refuses a directory, which has no digest.
func WithDigest() Option { return func(b *Bundle) { b.hash = sha256.New() } }

// Open opens the bundle at path; "-" means stdin, and any part of a series means
// the whole (FindSeries). It reads as much as it needs to detect the format; ctx
// covers only that. An error about the bundle's content is an ErrFormat, an
// ErrTruncated or an ErrCorrupt, and one about a part is an ErrPart; any other
// comes from the system.
func Open(ctx context.Context, path string, stdin io.Reader, options ...Option) (*Bundle, error) {
	b := &Bundle{name: filepath.Base(path)}
	for _, o := range options {
		o(b)
	}
	err := b.open(ctx, path, stdin)
	if err != nil {
		b.Close()
		return nil, err
	}
	return b, nil
}

func (b *Bundle) open(ctx context.Context, path string, stdin io.Reader) error {
	if path == "-" {
		f, ok := stdin.(*os.File)
		if !ok {
			return b.openStream(ctx, stdin)
		}
		return b.openFile(ctx, f)
	}
	series, err := FindSeries(path)
	if err != nil {
		return err
	}
	if series != nil { // always read as a stream
		if b.parts, err = series.Open(); err != nil {
			return err
		}
		b.name, b.Size = filepath.Base(series.Whole), b.parts.Size()
		return b.openStream(ctx, b.parts)
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if info.IsDir() {
		return b.openDir(ctx, path)
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	b.own = true
	return b.openFile(ctx, f)
}

// openFile opens the bundle in f, which may be a pipe or a terminal on stdin.
func (b *Bundle) openFile(ctx context.Context, f *os.File) error {
	b.file = f
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if info.IsDir() { // cmd - < directory
		return formatError("stdin is a directory")
	}
	if !info.Mode().IsRegular() {
		return b.openStream(ctx, f)
	}
	if b.base, err = f.Seek(0, io.SeekCurrent); err != nil {
		return err
	}
	b.Size = max(info.Size()-b.base, 0)
	head := make([]byte, sniffLen)
	n, err := f.ReadAt(head, b.base)
	if err != nil && err != io.EOF {
		return err
	}
	format, err := sniff(head[:n])
	if err != nil {
		return err
	}
	if format != FormatTar || b.hash != nil {
		return b.openStream(ctx, f)
	}
	b.Format = format
	return nil
}

// openStream sets up the readers between a source and its tar.
func (b *Bundle) openStream(ctx context.Context, r io.Reader) error {
	if b.hash != nil {
		r = io.TeeReader(r, b.hash)
	}
	b.source = ahead.New(r, sourceBlock, sourceBlocks)
	defer b.until(ctx)()
	b.buffer = bufio.NewReaderSize(b.source, sourceBlock)
	head, err := b.buffer.Peek(sniffLen)
	if err != nil && err != io.EOF {
		return err
	}
	if b.Format, err = sniff(head); err != nil {
		return err
	}
	b.stream = b.buffer
	switch b.Format {
	case FormatTarGzip:
		z, err := gunzip.NewReader(b.buffer, gzipBlock, gzipBlocks)
		if err != nil {
			return b.damage(err, "")
		}
		b.stream, b.free = z, func() { z.Close() }
	case FormatTarZstd:
		z, err := newPadded(b.buffer)
		if err != nil {
			return b.damage(err, "")
		}
		b.stream, b.free = z, z.z.Close
	}
	return nil
}

// Entries walks the bundle's regular files: those of an archive in its order,
// those of a directory in the lexical order of their paths' components.
//
// An error comes without an entry. An ErrEntry concerns only the entry it
// names, and the iteration can continue; any other error, including the cause
// of ctx, ends it. A stream can be walked only once; after its last entry it is
// read to the end.
func (b *Bundle) Entries(ctx context.Context) iter.Seq2[*Entry, error] {
	return func(yield func(*Entry, error) bool) {
		if err := b.walk(ctx, yield); err != nil {
			yield(nil, err)
		}
	}
}

func (b *Bundle) walk(ctx context.Context, yield func(*Entry, error) bool) error {
	switch {
	case b.root != nil:
		return b.walkDir(ctx, yield)
	case b.stream == nil:
		return b.walkFile(ctx, yield)
	case b.used:
		return errors.New("bundle: a stream can be read only once")
	}
	b.used = true
	defer b.until(ctx)()
	t := &tape{r: b.stream}
	return b.newWalker(t, t).walk(ctx, yield)
}

// Offset returns how many bytes of the file have been consumed, for progress.
// It is safe to call from any goroutine.
func (b *Bundle) Offset() int64 {
	if b.source != nil {
		return b.source.Offset()
	}
	return b.offset.Load()
}

// Digest returns the sha256 of the whole file, "sha256:…". It is "" unless the
// bundle was opened WithDigest and Entries came to its end without an error.
func (b *Bundle) Digest() string {
	if b.hash == nil || !b.whole {
		return ""
	}
	return "sha256:" + hex.EncodeToString(b.hash.Sum(nil))
}

// Close releases the bundle's resources. It does not close stdin, and must not
// be called during an iteration.
func (b *Bundle) Close() error {
	b.endStream(os.ErrClosed)
	if b.root != nil {
		err := b.root.Close() // so that no file is opened again
		for _, f := range b.opened {
			f.rest()
		}
		return err
	}
	if b.parts != nil {
		return b.parts.Close()
	}
	if b.own && b.file != nil {
		return b.file.Close()
	}
	return nil
}
