package registry

import (
	"context"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"sync"
	"syscall"
	"time"
)

// StartUpload is of Store.
func (d *Disk) StartUpload(_ context.Context, name, algorithm string) (string, error) {
	if now := time.Now(); d.uploads.sweepDue(now) {
		if err := d.sweepUploads(now, false); err != nil {
			return "", err
		}
	}
	id := newID()
	file := uploadPath(name, id)
	f, err := d.root.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return "", noSpace(err)
	}
	d.uploads.mu.Lock()
	d.uploads.add(file, algorithm)
	d.uploads.mu.Unlock()
	return id, f.Close()
}

// UploadSize is of Store.
func (d *Disk) UploadSize(_ context.Context, name, id string) (int64, error) {
	info, err := d.root.Stat(uploadPath(name, id))
	if err == nil && committed(info) {
		err = fs.ErrNotExist
	}
	if err != nil {
		return 0, unknownUpload(err)
	}
	return info.Size(), nil
}

// committed tells whether a session's file has become a blob already, which a
// crash or a fault kept from being removed. Writing to it would change the blob.
func committed(info fs.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && stat.Nlink > 1
}

func unknownUpload(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return ErrUploadUnknown
	}
	return err
}

// session locks a session and opens its file; done closes and unlocks.
func (d *Disk) session(ctx context.Context, name, id string) (u *upload, f *os.File, done func(), err error) {
	file := uploadPath(name, id)
	if _, err := d.UploadSize(ctx, name, id); err != nil { // before a place in the table is made for it
		return nil, nil, nil, err
	}
	if u, err = d.uploads.join(ctx, file); err != nil {
		return nil, nil, nil, err
	}
	if f, err = d.openSession(file); err != nil {
		d.uploads.forget(file)
		d.uploads.leave(u)
		return nil, nil, nil, unknownUpload(err)
	}
	return u, f, func() { f.Close(); d.uploads.leave(u) }, nil
}

func (d *Disk) openSession(file string) (*os.File, error) {
	f, err := d.root.OpenFile(file, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && committed(info) {
		err = fs.ErrNotExist
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// WriteUpload is of Store.
func (d *Disk) WriteUpload(ctx context.Context, name, id string, part Part, body io.Reader) (int64, error) {
	u, f, done, err := d.session(ctx, name, id)
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
	buffers, w := &d.buffers, io.Writer(f)
	if part.Length < 0 || part.Length >= bulkBody {
		buffers, w = &d.bulk, newBulkWriter(f, size)
	}
	n, err := receive(w, buffers, u.hash, body, part.Length)
	u.hashed = size + n
	if errors.Is(err, ErrNoSpace) {
		return 0, errors.Join(err, d.drop(name, id))
	}
	if errors.Is(err, ErrSizeInvalid) { // none of the part is to be trusted
		u.hash, n = nil, 0
		err = errors.Join(err, f.Truncate(size))
	}
	return size + n, err
}

// receive copies body to w and to h, if there is one, in pieces that fill a
// buffer, and gives the number of bytes that reached w. More than length bytes
// are an ErrSizeInvalid.
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
			return n, noSpace(err)
		case length >= 0 && n > length:
			return n, fmt.Errorf("%w: more than the %d bytes announced", ErrSizeInvalid, length)
		case readErr == io.EOF:
			return n, nil
		case readErr != nil:
			return n, readErr
		}
	}
}

// fill reads until buf is full or r ends. Unlike io.ReadFull it gives r's own
// error, so that a body cut short differs from one that ended.
func fill(r io.Reader, buf []byte) (n int, err error) {
	for n < len(buf) && err == nil {
		var got int
		got, err = r.Read(buf[n:])
		n += got
	}
	return n, err
}

// FinishUpload is of Store.
func (d *Disk) FinishUpload(ctx context.Context, name, id string, digest Digest) error {
	u, f, done, err := d.session(ctx, name, id)
	if err != nil {
		return err
	}
	defer done()
	got, err := d.uploadDigest(u, f, digest.Algorithm())
	if err != nil {
		return err
	}
	if got != digest {
		return errors.Join(fmt.Errorf("%w: want %s, got %s", ErrDigestInvalid, digest, got), d.drop(name, id))
	}
	if err = noSpace(f.Sync()); err == nil {
		err = d.commit(uploadPath(name, id), name, digest)
	}
	// After a failed sync the kernel may count lost pages as written, so another
	// try on the same file could succeed wrongly: the client has to start again.
	return errors.Join(err, d.drop(name, id))
}

// uploadDigest gives the digest of a session's bytes, from memory if that has
// seen them all with this algorithm, otherwise from the file: after a restart,
// or when the client named the algorithm only at the end.
func (d *Disk) uploadDigest(u *upload, f *os.File, algorithm string) (Digest, error) {
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return "", err
	}
	if u.hash != nil && u.algorithm == algorithm && u.hashed == size {
		return sum(algorithm, u.hash), nil
	}
	return d.fileDigest(f, algorithm)
}

// fileDigest reads a file from its start.
func (d *Disk) fileDigest(f *os.File, algorithm string) (Digest, error) {
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return "", err
	}
	// The wrapper hides the file's own WriteTo, which would not use the buffer.
	return d.readDigest(struct{ io.Reader }{f}, algorithm)
}

func (d *Disk) readDigest(r io.Reader, algorithm string) (Digest, error) {
	buf := d.buffers.Get().(*[]byte)
	defer d.buffers.Put(buf)
	h := newHash(algorithm)
	if _, err := io.CopyBuffer(h, r, *buf); err != nil {
		return "", err
	}
	return sum(algorithm, h), nil
}

// CancelUpload is of Store.
func (d *Disk) CancelUpload(ctx context.Context, name, id string) error {
	_, _, done, err := d.session(ctx, name, id)
	if err != nil {
		return err
	}
	defer done()
	return d.drop(name, id)
}

// drop removes a session that the caller has locked.
func (d *Disk) drop(name, id string) error {
	file := uploadPath(name, id)
	if err := d.root.Remove(file); err != nil {
		return err
	}
	d.uploads.forget(file)
	return nil
}
