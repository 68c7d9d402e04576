package registry

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"sync"
	"time"

	"k0rdent-airgap/lib/ref"
)

// StartUpload implements Store.
func (d *Disk) StartUpload(_ context.Context, s Session, algorithm string) (string, error) {
	for _, file := range d.uploads.expired(time.Now()) {
		if err := d.tree.remove(file); err != nil {
			return "", err
		}
	}
	s.ID = newID()
	file := uploadPath(s)
	err := d.evict(func() (string, error) { return d.uploads.add(file, algorithm, cmp.Or(s.Owner, s.Client)) })
	if err != nil {
		return "", err
	}
	f, err := d.tree.create(file)
	if err != nil {
		d.uploads.forget(file)
		return "", storageError(err)
	}
	return s.ID, f.Close()
}

// UploadSize implements Store.
func (d *Disk) UploadSize(_ context.Context, s Session) (int64, error) {
	stat, err := d.sessionStat(uploadPath(s))
	if err != nil {
		return 0, err
	}
	return stat.Size, nil
}

// sessionStat looks up a session's file. The error is ErrUploadUnknown also if it is
// a blob already, because a fault prevented its removal: writing to it would change
// the blob.
func (d *Disk) sessionStat(file string) (*fileStat, error) {
	stat, err := d.tree.stat(file)
	if errors.Is(err, fs.ErrNotExist) || err == nil && stat.Nlink > 1 {
		return nil, ErrUploadUnknown
	}
	return stat, err
}

// session locks a session and opens its file; done closes and unlocks.
func (d *Disk) session(ctx context.Context, file string) (u *upload, f *os.File, done func(), err error) {
	if u, err = d.uploads.join(ctx, file); err != nil {
		return nil, nil, nil, err
	}
	if _, err = d.sessionStat(file); err == nil {
		f, err = d.tree.root.OpenFile(file, os.O_RDWR, 0)
	}
	if err != nil {
		if err == ErrUploadUnknown {
			d.uploads.forget(file)
		}
		d.uploads.leave(u)
		return nil, nil, nil, storageError(err)
	}
	return u, f, func() { f.Close(); d.uploads.leave(u) }, nil
}

// WriteUpload implements Store.
func (d *Disk) WriteUpload(ctx context.Context, s Session, part Part, body io.Reader) (int64, error) {
	file := uploadPath(s)
	u, f, done, err := d.session(ctx, file)
	if err != nil {
		return 0, err
	}
	defer done()
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return 0, err
	}
	if part.Start >= 0 && part.Start != size {
		return size, fmt.Errorf("%w: the upload has %d bytes, the part begins at %d", ErrRange, size, part.Start)
	}
	if u.hashed != size {
		u.hash = nil // FinishUpload reads the file again
	}
	n, err := d.writePart(u, f, file, size, part.Length, body)
	u.hashed = size + n
	d.uploads.settle(u, size+n)
	if isFull(err) || errors.Is(err, ErrUploadTooLarge) {
		return 0, errors.Join(err, d.drop(file))
	}
	if errors.Is(err, ErrSizeInvalid) { // discard the part
		u.hash, n = nil, 0
		err = errors.Join(err, f.Truncate(size))
	}
	return size + n, err
}

// writePart appends a body to a session's file. A large one bypasses the page cache
// while there are buffers for that.
func (d *Disk) writePart(u *upload, f *os.File, file string, size, length int64, body io.Reader) (int64, error) {
	if (length < 0 || length >= bulkBody) && d.bulk.TryAcquire(1) {
		defer d.bulk.Release(1)
		return receive(&quotaWriter{newBulkWriter(d.tree.writer(f, file), size), d, u}, &d.bulkBuffers, u.hash, body, length)
	}
	return receive(&quotaWriter{d.tree.writer(f, file), d, u}, &d.buffers, u.hash, body, length)
}

// quotaWriter counts a session's bytes before it writes them, and ends idle sessions
// to make room.
type quotaWriter struct {
	w io.Writer
	d *Disk
	u *upload
}

func (w *quotaWriter) Write(p []byte) (int, error) {
	err := w.d.evict(func() (string, error) { return w.d.uploads.grow(w.u, int64(len(p))) })
	if err != nil {
		return 0, err
	}
	return w.w.Write(p)
}

// evict calls reserve, and removes the file of the session that it has ended,
// until it ends none.
func (d *Disk) evict(reserve func() (victim string, err error)) error {
	for {
		victim, err := reserve()
		if err != nil || victim == "" {
			return err
		}
		if err := d.tree.remove(victim); err != nil {
			return err
		}
	}
}

// endAbandoned ends an abandoned upload for its space and reports whether it did.
func (d *Disk) endAbandoned() bool {
	victim := d.uploads.abandoned()
	return victim != "" && d.tree.remove(victim) == nil
}

// LimitUploads bounds the bytes of the unfinished uploads of one user or, without a
// user, of one address. 0 is no bound. Call it before any other method.
func (d *Disk) LimitUploads(bytes int64) { d.uploads.limit = bytes }

// receive copies body to w and h, which may be nil, in pieces of a full buffer, and
// returns the number of bytes written to w. More than length are an ErrSizeInvalid.
func receive(w io.Writer, buffers *sync.Pool, h hash.Hash, body io.Reader, length int64) (n int64, err error) {
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	for {
		got, readErr := fill(body, *buf)
		wrote, err := w.Write((*buf)[:got])
		if h != nil {
			h.Write((*buf)[:wrote])
		}
		n += int64(wrote)
		switch {
		case err != nil:
			return n, storageError(err)
		case length >= 0 && n > length:
			return n, fmt.Errorf("%w: more than the %d bytes announced", ErrSizeInvalid, length)
		case readErr == io.EOF:
			return n, nil
		case readErr != nil:
			return n, readErr
		}
	}
}

// fill is io.ReadFull with r's own error, which tells an incomplete body from the
// end of one.
func fill(r io.Reader, buf []byte) (n int, err error) {
	for n < len(buf) && err == nil {
		var got int
		got, err = r.Read(buf[n:])
		n += got
	}
	return n, err
}

// FinishUpload implements Store.
func (d *Disk) FinishUpload(ctx context.Context, s Session, digest Digest) error {
	file := uploadPath(s)
	u, f, done, err := d.session(ctx, file)
	if err != nil {
		return err
	}
	defer done()
	got, err := d.uploadDigest(u, f, digest.Algorithm())
	if err != nil {
		return err
	}
	if got != digest {
		return errors.Join(fmt.Errorf("%w: want %s, got %s", ErrDigestInvalid, digest, got), d.drop(file))
	}
	d.tree.root.Chtimes(file, time.Time{}, d.now())
	if err = storageError(d.tree.sync(f, file)); err == nil {
		err = d.commit(file, s.Repository, digest)
	}
	// After a failed sync the kernel may count lost pages as written, so a second one
	// proves nothing: the client must start again.
	return errors.Join(err, d.drop(file))
}

// uploadDigest returns the digest of a session's bytes: the running one or, after a
// restart or with another algorithm, that of the file.
func (d *Disk) uploadDigest(u *upload, f *os.File, algorithm string) (Digest, error) {
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return "", err
	}
	if u.hash != nil && u.algorithm == algorithm && u.hashed == size {
		return ref.Sum(algorithm, u.hash), nil
	}
	return d.readDigest(io.NewSectionReader(f, 0, size), algorithm)
}

// readDigest returns the digest of what a reader without a WriteTo reads, which would
// not use the buffer.
func (d *Disk) readDigest(r io.Reader, algorithm string) (Digest, error) {
	buf := d.buffers.Get().(*[]byte)
	defer d.buffers.Put(buf)
	h := ref.NewHash(algorithm)
	if _, err := io.CopyBuffer(h, r, *buf); err != nil {
		return "", err
	}
	return ref.Sum(algorithm, h), nil
}

// CancelUpload implements Store.
func (d *Disk) CancelUpload(ctx context.Context, s Session) error {
	file := uploadPath(s)
	_, _, done, err := d.session(ctx, file)
	if err != nil {
		return err
	}
	defer done()
	return d.drop(file)
}

// drop removes a session, which the caller has locked.
func (d *Disk) drop(file string) error {
	if err := d.tree.remove(file); err != nil {
		return err
	}
	d.uploads.forget(file)
	return nil
}
