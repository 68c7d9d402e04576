package samplebundle

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"os"
)

// A piece is a run of the raw bytes of a layer, of one of four kinds.
type piece struct {
	literal []byte
	segment *segment
	file    string // content is read from this file, at each pass
	fill    int    // so many bytes are made by the corpus, at each pass,
	stream  uint64 // of this stream
}

// A layer is a tar.gz with one gzip member. It is never held: it is made once
// to learn its digest and once to be written.
type layer struct {
	corpus *corpus
	pieces []piece
	diffID string // digest of the tar
	crc    uint32 // of the tar, as is rawLen
	rawLen int64
	blob   *blob
}

// gzipHeader is what a deterministic writer puts there: no time, no name.
var gzipHeader = []byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff}

// finalBlock is an empty deflate block with the final bit, by RFC 1951 section 3.2.6.
var finalBlock = []byte{0x03, 0x00}

// newLayer lays the pieces out and makes the layer a first time for its digests.
func newLayer(c *corpus, pieces []piece) (*layer, error) {
	l := &layer{corpus: c, pieces: pieces}
	raw, packed := &meter{hash: sha256.New()}, &meter{hash: sha256.New()}
	crc := crc32.NewIEEE()
	if err := l.deflate(packed, io.MultiWriter(raw, crc)); err != nil {
		return nil, err
	}
	l.crc, l.rawLen, l.diffID = crc.Sum32(), raw.n, raw.digest()
	if err := l.trailer(packed); err != nil {
		return nil, err
	}
	l.blob = &blob{mediaType: typeLayer, digest: packed.digest(), size: packed.n, write: func(w io.Writer) error {
		if err := l.deflate(w, nil); err != nil {
			return err
		}
		return l.trailer(w)
	}}
	return l, nil
}

// deflate writes the header and the deflate stream to packed and, unless it is
// nil, the tar to raw.
func (l *layer) deflate(packed, raw io.Writer) error {
	if _, err := packed.Write(gzipHeader); err != nil {
		return err
	}
	for _, p := range l.pieces {
		if err := l.piece(p, packed, raw); err != nil {
			return err
		}
	}
	_, err := packed.Write(finalBlock)
	return err
}

func (l *layer) piece(p piece, packed, raw io.Writer) error {
	switch {
	case p.segment != nil:
		if raw != nil {
			if _, err := raw.Write(p.segment.raw); err != nil {
				return err
			}
		}
		_, err := packed.Write(p.segment.deflated)
		return err
	case p.file != "":
		return l.file(p.file, packed, raw)
	case p.fill > 0:
		return l.literal(l.corpus.fill(p.stream, p.fill), packed, raw)
	default:
		return l.literal(p.literal, packed, raw)
	}
}

func (l *layer) literal(p []byte, packed, raw io.Writer) error {
	if raw != nil {
		if _, err := raw.Write(p); err != nil {
			return err
		}
	}
	var b bytes.Buffer
	if err := l.corpus.deflate(&b, p); err != nil {
		return err
	}
	_, err := packed.Write(b.Bytes())
	return err
}

func (l *layer) file(name string, packed, raw io.Writer) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	buf := make([]byte, segmentSize)
	for {
		n, err := io.ReadFull(f, buf)
		if n > 0 {
			if err := l.literal(buf[:n], packed, raw); err != nil {
				return err
			}
		}
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (l *layer) trailer(w io.Writer) error {
	b := binary.LittleEndian.AppendUint32(nil, l.crc)
	_, err := w.Write(binary.LittleEndian.AppendUint32(b, uint32(l.rawLen)))
	return err
}

// meter counts and hashes what is written to it.
type meter struct {
	hash hash.Hash
	n    int64
}

func (m *meter) Write(p []byte) (int, error) {
	m.n += int64(len(p))
	return m.hash.Write(p)
}

func (m *meter) digest() string { return fmt.Sprintf("sha256:%x", m.hash.Sum(nil)) }

// A layerFile is a file in a layer.
type layerFile struct {
	name    string // as in a tar of a root file system: no leading slash
	mode    int64
	path    string // content of this file of the machine, or else
	literal []byte // this,
	random  int64  // then about so many compressed bytes out of the corpus,
	tail    []byte // and this
}

// tarPieces lays files out as a tar. at is where in the corpus random content
// starts; the place where it ended is returned, so that neighbouring layers do
// not repeat each other.
func tarPieces(c *corpus, files []layerFile, at int) ([]piece, int, error) {
	var pieces []piece
	dirs := map[string]bool{}
	for _, f := range files {
		content, size, next, err := fileContent(c, f, at)
		if err != nil {
			return nil, at, err
		}
		at = next
		head, err := tarHeaders(f, size, dirs)
		if err != nil {
			return nil, at, err
		}
		pieces = append(pieces, piece{literal: head})
		pieces = append(pieces, content...)
		if pad := -size & 511; pad > 0 {
			pieces = append(pieces, piece{literal: make([]byte, pad)})
		}
	}
	return append(pieces, piece{literal: make([]byte, 1024)}), at, nil
}

func fileContent(c *corpus, f layerFile, at int) (pieces []piece, size int64, next int, err error) {
	if f.path != "" {
		info, err := os.Stat(f.path)
		if err != nil {
			return nil, 0, at, err
		}
		return []piece{{file: f.path}}, info.Size(), at, nil
	}
	if f.literal != nil {
		pieces, size = append(pieces, piece{literal: f.literal}), int64(len(f.literal))
	}
	for left := f.random; left > 0; at++ {
		if float64(left) < packed*segmentSize {
			n := max(int(float64(left)/packed), 1)
			pieces, size = append(pieces, piece{fill: n, stream: fillStream + uint64(at)}), size+int64(n)
			at++
			break
		}
		s, err := c.segment(at)
		if err != nil {
			return nil, 0, at, err
		}
		pieces, size, left = append(pieces, piece{segment: s}), size+segmentSize, left-int64(len(s.deflated))
	}
	if f.tail != nil {
		pieces, size = append(pieces, piece{literal: f.tail}), size+int64(len(f.tail))
	}
	return pieces, size, at, nil
}

// fillStream keeps the streams of pieces apart from those of segments.
const fillStream = 1 << 32

// tarHeaders returns the header blocks of the directories of a file and of the file itself.
func tarHeaders(f layerFile, size int64, seen map[string]bool) ([]byte, error) {
	var b bytes.Buffer
	tw := tar.NewWriter(&b)
	for i, ch := range f.name {
		if dir := f.name[:i]; ch == '/' && !seen[dir] {
			seen[dir] = true
			h := &tar.Header{Typeflag: tar.TypeDir, Name: dir + "/", Mode: 0o755, Format: tar.FormatUSTAR}
			if err := tw.WriteHeader(h); err != nil {
				return nil, err
			}
		}
	}
	h := &tar.Header{Typeflag: tar.TypeReg, Name: f.name, Mode: f.mode, Size: size, Format: tar.FormatUSTAR}
	if err := tw.WriteHeader(h); err != nil {
		return nil, err
	}
	return b.Bytes(), nil // not closed: the content follows
}
