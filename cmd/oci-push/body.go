package main

import (
	"errors"
	"io"
)

// The types here, and flow, are the content of a blob to upload. Their Seek
// supports what client.Upload needs: whence is io.SeekStart.

// errGone marks content that has streamed past and cannot be read again.
var errGone = errors.New("content has streamed past")

// chunkBody is content held in pieces of the memory budget.
type chunkBody struct {
	chunks [][]byte
	offset int64
	size   int64
}

func (b *chunkBody) Read(p []byte) (int, error) {
	if b.offset >= b.size {
		return 0, io.EOF
	}
	chunk := b.chunks[b.offset/chunkSize]
	from := b.offset % chunkSize
	n := copy(p, chunk[from:min(chunkSize, from+b.size-b.offset)])
	b.offset += int64(n)
	return n, nil
}

func (b *chunkBody) Seek(offset int64, _ int) (int64, error) {
	b.offset = offset
	return offset, nil
}

// absentBody is the content of a blob that the archive refers to but lacks,
// which is harmless as long as the registry has the blob.
type absentBody struct{}

var errAbsent = errors.New("neither the archive nor the registry has it")

func (absentBody) Read([]byte) (int, error)       { return 0, errAbsent }
func (absentBody) Seek(int64, int) (int64, error) { return 0, errAbsent }
