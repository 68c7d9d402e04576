package bundle

import (
	"crypto/sha256"
	"errors"
	"hash"
	"io"
	"os"
	"sync"
	"sync/atomic"
)

// Parts reads a series as one stream. Read may be called from a goroutine of its
// own; the other methods, from any.
type Parts struct {
	series *Series
	hash   hash.Hash // of the current part; nil if no checksum is known
	at     int64     // in the current part
	index  int

	mu     sync.Mutex
	file   *os.File // the current part
	closed bool
	done   atomic.Int64 // parts that were read to their end
}

// Open checks that all parts are there, and opens the series for one reading. A
// part with a checksum next to it is compared with that at its end.
func (s *Series) Open() (*Parts, error) {
	if err := s.stat(); err != nil {
		return nil, err
	}
	if err := s.readSums(); err != nil {
		return nil, err
	}
	return &Parts{series: s}, nil
}

// Size returns the size of the whole.
func (p *Parts) Size() int64 { return p.series.size }

// Series returns the series that is read.
func (p *Parts) Series() *Series { return p.series }

// Part returns the path of the part that holds a byte of the whole.
func (p *Parts) Part(offset int64) string { return p.series.Parts[p.indexOf(offset)] }

func (p *Parts) indexOf(offset int64) int {
	for i, info := range p.series.infos {
		if offset -= info.Size(); offset < 0 {
			return i
		}
	}
	return len(p.series.infos) - 1
}

// Close ends the reading.
func (p *Parts) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	if p.file == nil {
		return nil
	}
	err := p.file.Close()
	p.file = nil
	return err
}

// Read reads the next bytes of the whole.
func (p *Parts) Read(b []byte) (int, error) {
	for p.index < len(p.series.Parts) {
		f, err := p.open()
		if err != nil {
			return 0, err
		}
		n, err := f.Read(b)
		if p.at == 0 && p.index > 0 && startsFile(b[:n]) {
			return 0, &PartError{p.series.Parts[p.index], "begins a compressed file of its own instead of continuing the part before it",
				"a part of another series, or two parts with swapped names"}
		}
		if p.hash != nil {
			p.hash.Write(b[:n])
		}
		p.at += int64(n)
		switch {
		case p.at > p.series.infos[p.index].Size():
			return 0, p.changed()
		case n > 0:
			return n, nil
		case err == io.EOF:
			if err := p.finish(f); err != nil {
				return 0, err
			}
		case err != nil:
			return 0, err
		}
	}
	return 0, io.EOF
}

// startsFile reports whether a part begins like a gzip or zstd file, as one
// continuing part in 100 million does by chance.
func startsFile(b []byte) bool {
	if len(b) < 4 {
		return false
	}
	gzip := b[0] == 0x1f && b[1] == 0x8b && b[2] == 8 && b[3]&0xe0 == 0
	return gzip || string(b[:4]) == "\x28\xb5\x2f\xfd"
}

// open returns the current part, which it opens when its turn comes.
func (p *Parts) open() (*os.File, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, os.ErrClosed
	}
	if p.file != nil {
		return p.file, nil
	}
	path := p.series.Parts[p.index]
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, &PartError{path, "was removed while the series was read", "put the medium back, and run the same command again"}
	}
	if err != nil {
		return nil, err
	}
	p.file, p.at, p.hash = f, 0, nil
	if len(p.series.sums) > 0 {
		p.hash = sha256.New()
	}
	return f, p.same(f)
}

// same returns an error if a part is not as it was before the series was read.
func (p *Parts) same(f *os.File) error {
	before := p.series.infos[p.index]
	now, err := f.Stat()
	if err != nil {
		return err
	}
	if !os.SameFile(before, now) || now.Size() != before.Size() || !now.ModTime().Equal(before.ModTime()) {
		return p.changed()
	}
	return nil
}

func (p *Parts) changed() error {
	return &PartError{p.series.Parts[p.index], "changed while it was read", "wait until it is complete"}
}

// finish checks and closes the current part at its end.
func (p *Parts) finish(f *os.File) error {
	if p.at != p.series.infos[p.index].Size() {
		return p.changed()
	}
	if err := p.same(f); err != nil {
		return err
	}
	if p.hash != nil {
		if err := p.series.compare(p.index, [sha256.Size]byte(p.hash.Sum(nil))); err != nil {
			return err
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.file != nil {
		p.file.Close()
		p.file = nil
	}
	p.index++
	p.done.Store(int64(p.index))
	return nil
}
