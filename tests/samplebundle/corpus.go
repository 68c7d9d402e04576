package samplebundle

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"

	"github.com/klauspost/compress/flate"
)

const (
	// segmentSize is how many raw bytes are deflated as one piece.
	segmentSize = 256 << 10

	// segmentCount makes the corpus larger than the windows of the outer
	// compressors (32 KiB for gzip, 8 MiB for zstd), so that a big layer, which
	// goes round the corpus several times, is as incompressible as a real one.
	segmentCount = 192

	// packed is what is left of content that fill makes.
	packed = 0.47

	// layerLevel is the level that container engines compress layers with.
	layerLevel = 5
)

// A segment is a piece of file content, raw and as deflate blocks that end on a
// byte boundary and refer to nothing before them. Segments can therefore be
// joined to one valid deflate stream without compressing them again.
type segment struct {
	raw      []byte
	deflated []byte
}

// A corpus makes content that compresses as the files of real images do (to
// about 47 %). It is made on demand: a small bundle needs no segment.
type corpus struct {
	seed     uint64
	words    [][]byte
	segments [segmentCount]*segment
	deflater *flate.Writer
}

func newCorpus(seed uint64) *corpus {
	c := &corpus{seed: seed}
	r := rand.New(rand.NewPCG(seed, 1))
	for range 4096 {
		w := make([]byte, 2+r.IntN(9))
		for i := range w {
			w[i] = "etaoinshrdlucmfwypvbgkjqxz_./"[int(29*r.Float64()*r.Float64())]
		}
		c.words = append(c.words, append(w, ' '))
	}
	return c
}

// deflate writes p as deflate blocks that end on a byte boundary.
func (c *corpus) deflate(w *bytes.Buffer, p []byte) error {
	if c.deflater == nil {
		fw, err := flate.NewWriter(w, layerLevel)
		if err != nil {
			return err
		}
		c.deflater = fw
	} else {
		c.deflater.Reset(w)
	}
	if _, err := c.deflater.Write(p); err != nil {
		return err
	}
	return c.deflater.Flush()
}

func (c *corpus) segment(i int) (*segment, error) {
	i %= segmentCount
	if c.segments[i] == nil {
		s := &segment{raw: c.fill(uint64(i), segmentSize)}
		var b bytes.Buffer
		if err := c.deflate(&b, s.raw); err != nil {
			return nil, err
		}
		s.deflated = b.Bytes()
		c.segments[i] = s
	}
	return c.segments[i], nil
}

// fill makes size bytes out of stretches of text, machine words and noise, in
// the proportions that bring the compressed size to that of a Linux image.
func (c *corpus) fill(stream uint64, size int) []byte {
	r := rand.New(rand.NewPCG(c.seed, 1000+stream))
	p := make([]byte, 0, size+4096)
	for len(p) < size {
		end := len(p) + 256 + r.IntN(2048)
		switch k := r.IntN(20); {
		case k < 8:
			p = c.text(p, end, r)
		case k < 18:
			p = code(p, end, r)
		default:
			for len(p) < end {
				p = binary.LittleEndian.AppendUint64(p, r.Uint64())
			}
		}
	}
	return p[:size]
}

func (c *corpus) text(p []byte, end int, r *rand.Rand) []byte {
	for len(p) < end {
		f := r.Float64()
		p = append(p, c.words[int(f*f*f*float64(len(c.words)))]...)
	}
	return p
}

// code makes what looks like machine code to a compressor: short repeated
// instructions with operands that are mostly small.
func code(p []byte, end int, r *rand.Rand) []byte {
	for len(p) < end {
		x := r.Uint64()
		if x&7 < 5 && len(p) > 4096 {
			from := len(p) - 64 - int(x>>8&2047)
			p = append(p, p[from:from+6+int(x>>24&15)]...)
			continue
		}
		f := float64(x>>40) / (1 << 24)
		p = append(p, 0x48, byte(256*f*f*f), byte(x>>3&31), byte(x>>20&3))
	}
	return p
}
