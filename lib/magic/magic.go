// Package magic recognises compressed files by their first bytes.
package magic

import "bytes"

// Packing is a compression format. The zero value is none.
type Packing struct {
	Name   string
	unpack string // the command that writes the content of a file to stdout
	first  string // the bytes that such a file begins with
}

// Gzip and Zstd are the packings that the tools read.
var (
	Gzip = Packing{"gzip", "gzip -dc", "\x1f\x8b"}
	Zstd = Packing{"zstd", "zstd -dc", "\x28\xb5\x2f\xfd"}
)

var packings = []Packing{
	Gzip, Zstd,
	{"xz", "xz -dc", "\xfd7zXZ\x00"},
	{"bzip2", "bzip2 -dc", "BZh"},
	{"lz4", "lz4 -dc", "\x04\x22\x4d\x18"},
	{"lzma", "xz --format=lzma -dc", "\x5d\x00\x00"},
	{"lzip", "lzip -dc", "LZIP\x01"},
	{"lzop", "lzop -dc", "\x89LZO\x00\r\n\x1a\n"},
	{"compress", "gzip -dc", "\x1f\x9d"},
	{"zip", "unzip -p", "PK\x03\x04"},
	{"zip", "unzip -p", "PK\x05\x06"}, // an empty one
	{"7z", "7z x -so", "7z\xbc\xaf\x27\x1c"},
	{"rar", "unrar p -inul", "Rar!\x1a\x07"},
}

// Of returns the compression format of a file that begins with head.
func Of(head []byte) Packing {
	for _, p := range packings {
		if bytes.HasPrefix(head, []byte(p.first)) {
			return p
		}
	}
	return Packing{}
}

// First returns the bytes that such a file begins with.
func (p Packing) First() string { return p.first }

// Unpack returns the command that writes the content of file to stdout.
func (p Packing) Unpack(file string) string { return p.unpack + " " + file }
