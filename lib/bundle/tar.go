package bundle

import (
	"archive/tar"
	"context"
	"errors"
	"io"
	"os"
	"strings"
)

const tarBlock = 512

// A tape is what the tar reader reads: it knows the position and the length of
// the run of zeros just read, which distinguishes the end-of-archive marker
// from a file that merely stops.
type tape struct {
	r     io.Reader
	pos   int64
	zeros int
	head  []byte // the first bytes
}

func (t *tape) Read(p []byte) (int, error) {
	n, err := t.r.Read(p)
	if len(t.head) < sniffLen {
		t.head = append(t.head, p[:min(n, sniffLen-len(t.head))]...)
	}
	t.pos += int64(n)
	run := 0
	for run < n && run < 2*tarBlock && p[n-1-run] == 0 {
		run++
	}
	if run == n {
		run += t.zeros
	}
	t.zeros = run
	return n, err
}

// A seekTape lets the tar reader skip payloads without reading them.
type seekTape struct {
	tape
	s io.Seeker
}

func (t *seekTape) Seek(offset int64, whence int) (int64, error) {
	pos, err := t.s.Seek(offset, whence)
	if pos != t.pos {
		t.zeros = 0
	}
	t.pos = pos
	return pos, err
}

// A walker goes through one tar.
type walker struct {
	b      *Bundle
	tar    *tar.Reader
	tape   *tape
	layout *layout
	seen   names
	inside string // the entry whose payload is being passed
	end    int64  // where that payload, padded, ends
	first  bool   // no header has been read yet
}

func (b *Bundle) newWalker(r io.Reader, t *tape) *walker {
	return &walker{b: b, tar: tar.NewReader(r), tape: t, layout: newLayout(b.name), seen: names{}, first: true}
}

// walk yields the entries of a tar.
func (w *walker) walk(ctx context.Context, yield func(*Entry, error) bool) error {
	for {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		e, err := w.entry()
		switch {
		case err == io.EOF:
			return w.finish()
		case err != nil && !errors.Is(err, ErrEntry):
			return err
		case !yield(e, err):
			return nil
		}
		w.b.offset.Store(w.end)
	}
}

// entry returns the next entry, or an error as next does.
func (w *walker) entry() (*Entry, error) {
	h, name, err := w.next()
	if err != nil {
		return nil, err
	}
	b, e := w.b, &Entry{Size: h.Size}
	if b.stream == nil {
		if w.end > b.Size {
			return nil, w.failed(io.ErrUnexpectedEOF)
		}
		section := io.NewSectionReader(b.file, b.base+w.tape.pos, h.Size)
		e.Reader, e.At = section, section
	} else {
		if strings.Contains(name, "/") && !w.layout.decided {
			b.lookAhead(w.layout)
			if err := w.layout.decide(); err != nil {
				return nil, err
			}
		}
		e.Reader = &payload{w: w, name: name}
	}
	e.Path = w.layout.strip(name)
	if err := w.seen.add(e.Path); err != nil {
		return nil, err
	}
	return e, nil
}

// scan passes the headers of a tar, to find its root, until enough returns true
// or the tar ends. The walk reports its errors.
func (w *walker) scan(enough func() bool) {
	for !enough() {
		if _, _, err := w.next(); err != nil && !errors.Is(err, ErrEntry) {
			return
		}
	}
}

// lookAhead reads ahead of the walk until the root is known. It works only for
// a file; for most bundles the first entries are enough.
func (b *Bundle) lookAhead(l *layout) {
	if b.Size == 0 || l.settled() {
		return
	}
	ahead := &Bundle{name: b.name}
	source := io.Reader(io.NewSectionReader(b.file, b.base, b.Size))
	if b.parts != nil {
		again := &Parts{series: b.parts.series.unchecked()}
		defer again.Close()
		source = again
	}
	if ahead.openStream(context.Background(), source) != nil {
		return
	}
	defer ahead.endStream(os.ErrClosed)
	t := &tape{r: ahead.stream}
	w := ahead.newWalker(t, t)
	w.scan(w.layout.settled)
	*l = *w.layout
}

// walkFile walks a tar that can seek: once over the headers to find the
// bundle's root and once more for the entries.
func (b *Bundle) walkFile(ctx context.Context, yield func(*Entry, error) bool) error {
	first := b.newFileWalker()
	first.scan(func() bool { return false })
	if err := first.layout.decide(); err != nil {
		return err
	}
	w := b.newFileWalker()
	w.layout = first.layout
	return w.walk(ctx, yield)
}

func (b *Bundle) newFileWalker() *walker {
	section := io.NewSectionReader(b.file, b.base, b.Size)
	t := &seekTape{tape: tape{r: section}, s: section}
	return b.newWalker(t, &t.tape)
}

// next returns the next regular file's header and clean name, or io.EOF at the
// archive's proper end. After an ErrEntry, the next call continues after the
// refused entry.
func (w *walker) next() (*tar.Header, string, error) {
	for {
		h, err := w.tar.Next()
		if err == io.EOF && w.tape.pos >= w.end+tarBlock && w.tape.zeros >= tarBlock {
			return nil, "", io.EOF
		}
		if err != nil {
			return nil, "", w.failed(err)
		}
		w.first, w.inside, w.end = false, "", w.tape.pos
		if meaningless(h) {
			continue
		}
		name, err := w.check(h)
		if err != nil {
			return nil, "", err
		}
		if err := w.layout.see(name, !regular(h)); err != nil {
			return nil, "", err
		}
		if regular(h) {
			w.inside = name
			w.end += (h.Size + tarBlock - 1) &^ (tarBlock - 1)
			return h, name, nil
		}
	}
}

// failed classifies an error of the tar reader.
func (w *walker) failed(err error) error {
	if format := FormatOf(w.tape.head); w.first && (format == FormatTarGzip || format == FormatTarZstd) {
		return formatError("%s inside %s: it was compressed twice, as browsers and proxies do; unpack it once, for example: zcat FILE | ... -", format, w.b.Format)
	}
	if w.first && errors.Is(err, tar.ErrHeader) {
		return formatError("the %s file holds no tar", w.b.Format)
	}
	if err == io.EOF && w.tape.pos >= w.end {
		return w.b.damage(errNoEnd, "")
	}
	return w.b.damage(err, w.inside)
}

// finish reads what follows the end-of-archive marker. Zeros pad the last
// record of a tape; anything else would be an appended archive, whose entries
// must not be lost silently. This also reaches the checksum of a compressed
// file.
func (w *walker) finish() error {
	buf := make([]byte, 32<<10)
	for {
		n, err := w.tape.Read(buf)
		if !isZero(buf[:n]) {
			return w.b.damage(errors.New("data after the end of the archive"), "")
		}
		if err == io.EOF {
			w.b.whole = true
			w.b.offset.Store(w.b.Size)
			return nil
		}
		if err != nil {
			return w.b.damage(err, "")
		}
	}
}

// A payload reads one entry of a stream and classifies errors.
type payload struct {
	w    *walker
	name string
}

func (p *payload) Read(b []byte) (int, error) {
	if p.w.inside != p.name {
		return 0, errors.New("bundle: entry " + p.name + " is no longer current")
	}
	n, err := p.w.tar.Read(b)
	if err != nil && err != io.EOF {
		err = p.w.b.damage(err, p.name)
	}
	return n, err
}
