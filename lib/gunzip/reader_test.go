package gunzip

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"
)

// inflate reads all of src in blocks of size bytes, and closes.
func inflate(src io.Reader, size int) ([]byte, error) {
	z, err := NewReader(bufio.NewReaderSize(src, 4<<10), size, 2)
	if err != nil {
		return nil, err
	}
	defer z.Close()
	return io.ReadAll(z)
}

// reference does the same with the standard library, which does not support
// padding.
func reference(src []byte) (all []byte, err error) {
	rest := bytes.NewReader(src) // an io.ByteReader, so no byte too many is read
	z, err := gzip.NewReader(rest)
	for err == nil {
		z.Multistream(false)
		var member []byte
		if member, err = io.ReadAll(z); err != nil {
			return append(all, member...), err
		}
		all = append(all, member...)
		if len(bytes.TrimLeft(src[len(src)-rest.Len():], "\x00")) == 0 {
			return all, nil
		}
		err = z.Reset(rest)
	}
	return all, err
}

func pack(t testing.TB, level int, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, level)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := z.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// samples are bytes of the kinds that a bundle's tar holds: noise that is
// nearly incompressible, as layers are, text, runs, and headers between them.
func samples() map[string][]byte {
	random := rand.New(rand.NewPCG(1, 2))
	noise := make([]byte, 700_000)
	for i := range noise {
		noise[i] = byte(random.Uint32())
	}
	skewed := make([]byte, 300_000)
	for i := range skewed {
		skewed[i] = byte(min(random.ExpFloat64()*4, 255)) // long codes for what is rare
	}
	var text strings.Builder
	for text.Len() < 300_000 {
		fmt.Fprintf(&text, "layer %d of %x\n", random.IntN(100), random.Uint64()>>random.IntN(64))
	}
	zeros := make([]byte, 400_000)
	mixed := bytes.Join([][]byte{noise[:70_000], zeros[:513], []byte(text.String()[:40_000]), noise[:70_000], skewed[:9_000]}, nil)
	return map[string][]byte{
		"nothing": {}, "a byte": {7}, "noise": noise, "skewed": skewed, "text": []byte(text.String()), "zeros": zeros, "mixed": mixed,
	}
}

var levels = []int{gzip.NoCompression, gzip.BestSpeed, gzip.DefaultCompression, gzip.BestCompression, gzip.HuffmanOnly}

func TestRoundTrip(t *testing.T) {
	for name, data := range samples() {
		for _, level := range levels {
			packed := pack(t, level, data)
			for _, size := range []int{1, 1000, 64 << 10, 1 << 20} {
				if size == 1 && len(data) > 100_000 {
					continue
				}
				got, err := inflate(bytes.NewReader(packed), size)
				if err != nil || !bytes.Equal(got, data) {
					t.Errorf("%s, level %d, blocks of %d: %d bytes, want %d (%v)", name, level, size, len(got), len(data), err)
				}
			}
		}
	}
}

// A source may return its bytes one at a time, or together with io.EOF.
func TestSources(t *testing.T) {
	data := samples()["mixed"]
	packed := pack(t, 6, data)
	for name, src := range map[string]io.Reader{
		"one byte":       iotest.OneByteReader(bytes.NewReader(packed)),
		"half":           iotest.HalfReader(bytes.NewReader(packed)),
		"data and error": iotest.DataErrReader(bytes.NewReader(packed)),
	} {
		if got, err := inflate(src, 64<<10); err != nil || !bytes.Equal(got, data) {
			t.Errorf("%s: %d bytes, want %d (%v)", name, len(got), len(data), err)
		}
	}
}

// pigz, bgzip and cat make files of several members; a match never crosses from
// one into another.
func TestMembers(t *testing.T) {
	var packed, data []byte
	for range 3 {
		for _, sample := range samples() {
			packed = append(packed, pack(t, 6, sample)...)
			data = append(data, sample...)
		}
	}
	if got, err := inflate(bytes.NewReader(packed), 100_000); err != nil || !bytes.Equal(got, data) {
		t.Fatalf("%d bytes, want %d (%v)", len(got), len(data), err)
	}
	first := pack(t, 6, samples()["text"])
	if got, err := inflate(bytes.NewReader(append(first, "and what is this"...)), 1<<20); err != ErrHeader || len(got) == 0 {
		t.Errorf("trailing garbage after a member: %d bytes, %v, want the member's and %v", len(got), err, ErrHeader)
	}
}

// Zeros after the last member pad a tape record; nothing else may follow it.
func TestPadding(t *testing.T) {
	one, two := pack(t, 6, []byte("one")), pack(t, 9, []byte("two"))
	for _, c := range []struct {
		name   string
		behind []byte
		want   error
	}{
		{"one zero", make([]byte, 1), nil},
		{"a record", make([]byte, 10240-len(one)), nil},
		{"more than any buffer", make([]byte, 1<<20+1), nil},
		{"a byte after it", append(make([]byte, 1<<20), 1), ErrHeader},
		{"a member after it", append(make([]byte, 512), two...), ErrHeader},
		{"a member, then padding", append(bytes.Clone(two), make([]byte, 512)...), nil},
		{"half a member, then padding", append(bytes.Clone(two[:11]), make([]byte, 512)...), ErrChecksum},
	} {
		for how, wrap := range map[string]func(io.Reader) io.Reader{
			"whole": func(r io.Reader) io.Reader { return r }, "one byte": iotest.OneByteReader, "data and error": iotest.DataErrReader,
		} {
			got, err := inflate(wrap(bytes.NewReader(append(bytes.Clone(one), c.behind...))), 100)
			if (err == nil) != (c.want == nil) || !strings.HasPrefix(string(got), "one") {
				t.Errorf("%s, %s: %q, %v, want %v", c.name, how, got, err, c.want)
			}
		}
	}
	if _, err := inflate(bytes.NewReader(make([]byte, 512)), 100); err != ErrHeader {
		t.Errorf("zeros alone: %v, want %v", err, ErrHeader)
	}
}

// Unneeded header fields are skipped, and damage to them is detected.
func TestHeader(t *testing.T) {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	z.Name, z.Comment, z.Extra = "name.tar", "comment", []byte("extra")
	z.Write([]byte("content"))
	z.Close()
	full := b.Bytes()
	if got, err := inflate(bytes.NewReader(full), 100); string(got) != "content" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	for _, c := range []struct {
		name string
		in   []byte
		want error
	}{
		{"nothing", nil, io.ErrUnexpectedEOF},
		{"another magic", append([]byte("PK"), full[2:]...), ErrHeader},
		{"another method", append([]byte{0x1f, 0x8b, 7}, full[3:]...), ErrHeader},
		{"in the name", full[:22], io.ErrUnexpectedEOF},
		{"an endless name", append(full[:10:10], bytes.Repeat([]byte{1, 1}, 1<<17)...), ErrHeader},
		{"a wrong header checksum", append([]byte{0x1f, 0x8b, 8, 1 << 1, 0, 0, 0, 0, 0, 0, 1, 2}, full[10:]...), ErrHeader},
	} {
		if _, err := inflate(bytes.NewReader(c.in), 100); err != c.want {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
}

// Input that is cut anywhere yields what came before the cut, then
// io.ErrUnexpectedEOF.
func TestTruncated(t *testing.T) {
	data := samples()["text"][:3000]
	for _, level := range levels {
		packed := pack(t, level, data)
		for n := range packed {
			got, err := inflate(bytes.NewReader(packed[:n]), 500)
			if err != io.ErrUnexpectedEOF {
				t.Fatalf("level %d, %d of %d bytes: %v, want %v", level, n, len(packed), err, io.ErrUnexpectedEOF)
			}
			want, _ := reference(packed[:n])
			if !bytes.HasPrefix(data, got) || len(got) < len(want) {
				t.Fatalf("level %d, %d of %d bytes: %d bytes, want the standard library's %d", level, n, len(packed), len(got), len(want))
			}
		}
	}
}

// An error of the source is returned unchanged, after the data before it.
func TestSourceError(t *testing.T) {
	packed := pack(t, 6, samples()["text"])
	lost := errors.New("lost")
	got, err := inflate(io.MultiReader(bytes.NewReader(packed[:len(packed)/2]), iotest.ErrReader(lost)), 1000)
	if err != lost || len(got) == 0 {
		t.Errorf("%d bytes, %v, want %v", len(got), err, lost)
	}
}

func TestDamage(t *testing.T) {
	data := samples()["mixed"]
	packed := pack(t, 6, data)
	random := rand.New(rand.NewPCG(3, 4))
	for range 300 {
		flipped := bytes.Clone(packed)
		at := 10 + random.IntN(len(packed)-10)
		flipped[at] ^= 1 << random.IntN(8)
		if _, err := inflate(bytes.NewReader(flipped), 64<<10); err == nil {
			t.Errorf("byte %d flipped: no error", at)
		}
	}
}

// Data that no compressor writes, as bits, first bit first, followed by zeros.
func TestImpossible(t *testing.T) {
	for _, c := range []struct {
		name, bits string
		want       error
	}{
		{"block type", "1 11", errBlock},
		{"stored length", "1 00 00000 1111111111111111 1111111111111111", errStored},
		{"literal code 286", "1 10 11000110", errCode},
		{"distance code 30", "1 10 00110000 0000001 11110", errCode},
		{"match before the start", "1 10 0000001 00000", errDistance},
		{"287 literal codes", "1 01 01111 00000 0000", errLengths},
		{"31 distance codes", "1 01 00000 01111 0000", errLengths},
		{"no codes", "1 01 00000 00000 0000", errCode},
		{"too many code lengths of one bit", "1 01 00000 00000 0000 100 100 100 000", errLengths},
		{"a repeat with nothing before it", "1 01 00000 00000 0000 100 100 000 000 0", errLengths},
	} {
		in := append([]byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0}, bitString(c.bits)...)
		if _, err := inflate(bytes.NewReader(append(in, make([]byte, 64)...)), 100); err != c.want {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
}

func bitString(text string) (b []byte) {
	text = strings.ReplaceAll(text, " ", "")
	for i, bit := range text {
		if i%8 == 0 {
			b = append(b, 0)
		}
		if bit == '1' {
			b[i/8] |= 1 << (i % 8)
		}
	}
	return b
}

// Close stops the read-ahead, wherever it is, and leaves the source alone.
func TestClose(t *testing.T) {
	packed := pack(t, 6, samples()["noise"])
	for _, read := range []int{0, 1, 100_000} {
		z, err := NewReader(bufio.NewReader(bytes.NewReader(packed)), 1000, 3)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.CopyN(io.Discard, z, int64(read)); err != nil {
			t.Fatal(err)
		}
		z.Close()
		if err := z.Close(); err != nil {
			t.Error(err)
		}
		if _, err := io.Copy(io.Discard, z); err != io.ErrClosedPipe {
			t.Errorf("a Read after Close: %v, want %v", err, io.ErrClosedPipe)
		}
	}
}

// FuzzReader checks that we accept what the standard library accepts, with the
// same bytes, and refuse what it refuses.
func FuzzReader(f *testing.F) {
	for name, data := range samples() {
		for _, level := range levels {
			f.Add(pack(f, level, data[:min(len(data), 2000)]), uint16(len(name)*100))
		}
	}
	two := append(pack(f, 6, []byte("one")), pack(f, 9, []byte("two"))...)
	f.Add(two, uint16(1))
	f.Add(append(two, 0), uint16(1))
	f.Fuzz(func(t *testing.T, in []byte, size uint16) {
		got, err := inflate(bytes.NewReader(in), int(size)+1)
		want, wantErr := reference(in)
		if (err == nil) != (wantErr == nil) {
			t.Fatalf("%v, the standard library says %v", err, wantErr)
		}
		if err == nil && !bytes.Equal(got, want) {
			t.Fatalf("%d bytes, the standard library returns %d other bytes", len(got), len(want))
		}
		if !bytes.HasPrefix(got, want) && !bytes.HasPrefix(want, got) {
			t.Fatalf("other bytes than the standard library, before the errors %v and %v", err, wantErr)
		}
	})
}
