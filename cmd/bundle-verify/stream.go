package main

import (
	"context"
	"hash"
	"io"
	"sync"

	"k0rdent-airgap/lib/ahead"
)

// One block is read while another is hashed; the other two absorb pauses of the
// disk. Memory use is the product. Blocks of 1 MiB leave the cache of a core before
// they are hashed, which takes a fifth more CPU.
const (
	blockSize = 256 << 10
	blockMany = 4
)

// each calls use with the bytes of r, block by block, and reads ahead. It returns
// the first error of r other than io.EOF, or the cause of ctx.
func each(ctx context.Context, r io.Reader, use func(block []byte)) error {
	in := ahead.New(r, blockSize, blockMany)
	stop := context.AfterFunc(ctx, func() { in.Stop(context.Cause(ctx)) })
	defer stop()
	for {
		block, err := in.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		use(block)
	}
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
