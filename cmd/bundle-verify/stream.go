package main

import (
	"context"
	"hash"
	"io"
	"iter"
	"sync"
)

// One block is read while another is hashed; the other two absorb pauses of the
// disk. Memory use is the product.
const (
	blockSize = 1 << 20
	blockMany = 4
)

// blocks yields the bytes of r in blocks of blockSize, the last of which may be
// shorter, and reads ahead. A block is valid until the iteration continues. It
// ends with the first error of r, or the cause of ctx; a Read that is then
// waiting for a pipe is abandoned and ends with the program.
func blocks(ctx context.Context, r io.Reader) iter.Seq2[[]byte, error] {
	type block struct {
		data []byte
		err  error
	}
	return func(yield func([]byte, error) bool) {
		free, full, done := make(chan []byte, blockMany), make(chan block), make(chan struct{})
		defer close(done)
		for range blockMany {
			free <- make([]byte, blockSize)
		}
		go func() { // ends with done, or the first error
			for {
				select {
				case b := <-free:
					n, err := fill(r, b)
					select {
					case full <- block{b[:n], err}:
					case <-done:
						return
					}
					if err != nil {
						return
					}
				case <-done:
					return
				}
			}
		}()
		for {
			select {
			case b := <-full:
				if len(b.data) > 0 && !yield(b.data, nil) {
					return
				}
				if b.err == io.EOF {
					return
				}
				if b.err != nil {
					yield(nil, b.err)
					return
				}
				free <- b.data
			case <-ctx.Done():
				yield(nil, context.Cause(ctx))
				return
			}
		}
	}
}

// fill reads until b is full or r ends. Unlike io.ReadFull, it distinguishes
// the end of the input from a reader's own ErrUnexpectedEOF.
func fill(r io.Reader, b []byte) (n int, err error) {
	for n < len(b) && err == nil {
		var m int
		m, err = r.Read(b[n:])
		n += m
	}
	return n, err
}

// feed writes one block to all hashes, at the same time.
func feed(hashes []hash.Hash, block []byte) {
	var others sync.WaitGroup
	for _, h := range hashes[1:] {
		others.Go(func() { h.Write(block) })
	}
	hashes[0].Write(block)
	others.Wait()
}
