package bundle

import (
	"errors"
	"hash"
	"io"
	"sync"
	"sync/atomic"
)

const (
	pumpBlock  = 256 << 10
	pumpBlocks = 4 // 1 MiB in all
)

// A pump reads a source in a goroutine of its own, so that reading the disk or
// pipe and hashing (if requested) overlap with inflating, and so that a
// cancelled context ends a Read even while the source is silent.
//
// The goroutine ends at the source's end or at stop; a Read of the source that
// hangs then is abandoned until the process exits.
type pump struct {
	full chan []byte
	free chan []byte
	end  error // why full was closed
	hash hash.Hash

	current []byte // unread part of block
	block   []byte
	read    atomic.Int64              // bytes returned
	failure atomic.Bool               // Read has failed other than by reaching the end
	wrong   atomic.Pointer[PartError] // with this, if it was that

	once    sync.Once
	stopped chan struct{}
	cause   error // why stopped was closed
}

func newPump(r io.Reader, h hash.Hash) *pump {
	p := &pump{
		full:    make(chan []byte, pumpBlocks),
		free:    make(chan []byte, pumpBlocks),
		stopped: make(chan struct{}),
		hash:    h,
	}
	go p.run(r)
	return p
}

func (p *pump) run(r io.Reader) {
	defer close(p.full)
	for blocks := 0; ; {
		if len(p.free) == 0 && blocks < pumpBlocks { // a small source needs few
			p.free <- make([]byte, pumpBlock)
			blocks++
		}
		var block []byte
		select {
		case block = <-p.free:
		case <-p.stopped:
			return
		}
		n, err := r.Read(block[:pumpBlock])
		if p.hash != nil {
			p.hash.Write(block[:n])
		}
		if n > 0 {
			p.full <- block[:n] // never blocks: full has room for all blocks
		} else {
			p.free <- block
		}
		if err != nil {
			p.end = err
			return
		}
	}
}

// Read returns the source's bytes, its error, or the cause of stop.
func (p *pump) Read(b []byte) (int, error) {
	if len(p.current) == 0 {
		if err := p.next(); err != nil {
			if wrong, ok := errors.AsType[*PartError](err); ok {
				p.wrong.Store(wrong)
			}
			p.failure.Store(err != io.EOF)
			return 0, err
		}
	}
	n := copy(b, p.current)
	p.current = p.current[n:]
	p.read.Add(int64(n))
	return n, nil
}

// next returns the spent block to the pool and waits for another.
func (p *pump) next() error {
	if p.block != nil {
		p.free <- p.block
		p.block = nil
	}
	select {
	case <-p.stopped:
		return p.cause
	default:
	}
	select {
	case block, ok := <-p.full:
		if !ok {
			return p.end
		}
		p.current, p.block = block, block
		return nil
	case <-p.stopped:
		return p.cause
	}
}

// stop makes the current and every later Read fail with cause.
func (p *pump) stop(cause error) {
	p.once.Do(func() {
		p.cause = cause
		close(p.stopped)
	})
}
