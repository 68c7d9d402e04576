package textfile

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"unicode/utf16"
	"unicode/utf8"
)

// Open opens a file of any size. It waits for the writer of a pipe until Stop.
func Open(path string) (*os.File, error) {
	return Patiently(path, func() (*os.File, error) { return os.Open(path) })
}

// NewReader returns the text of r as UTF-8 with Unix line ends. It reads ahead
// no further than the byte order mark, so it does not wait for more lines than
// its caller needs.
func NewReader(r io.Reader) io.Reader { return &lines{in: decode(r)} }

// Unmarked returns the text of r as UTF-8, without a byte order mark and with
// its line ends unchanged.
func Unmarked(r io.Reader) io.Reader { return decode(r) }

// decode looks for a byte order mark when it is first read.
func decode(r io.Reader) io.Reader { return &decoder{in: bufio.NewReader(r)} }

type decoder struct {
	in    *bufio.Reader
	order binary.ByteOrder // nil unless the text is UTF-16
	begun bool
	rest  []byte // of a character that did not fit
}

func (d *decoder) Read(p []byte) (int, error) {
	if !d.begun {
		d.begun = true
		d.mark()
	}
	if d.order == nil {
		return d.in.Read(p)
	}
	n := 0
	for n < len(p) {
		if len(d.rest) == 0 {
			if n > 0 && d.in.Buffered() < 4 {
				return n, nil
			}
			r, err := d.char()
			if err != nil {
				return n, err
			}
			d.rest = utf8.AppendRune(nil, r)
		}
		c := copy(p[n:], d.rest)
		n, d.rest = n+c, d.rest[c:]
	}
	return n, nil
}

// mark skips a byte order mark and sets the byte order it indicates. If the
// first byte cannot begin a mark, it waits for no more.
func (d *decoder) mark() {
	for _, m := range []struct {
		bytes []byte
		order binary.ByteOrder
	}{{[]byte("\xef\xbb\xbf"), nil}, {[]byte("\xff\xfe"), binary.LittleEndian}, {[]byte("\xfe\xff"), binary.BigEndian}} {
		if first, _ := d.in.Peek(1); len(first) == 0 || first[0] != m.bytes[0] {
			continue
		}
		if head, _ := d.in.Peek(len(m.bytes)); bytes.Equal(head, m.bytes) {
			d.in.Discard(len(m.bytes))
			d.order = m.order
			return
		}
	}
}

var errUTF16 = errors.New("invalid UTF-16 text")

// char reads one character of UTF-16.
func (d *decoder) char() (rune, error) {
	first, err := d.unit()
	if err != nil || !utf16.IsSurrogate(first) {
		return first, err
	}
	second, err := d.unit()
	if err == io.EOF {
		return 0, errUTF16
	}
	r := utf16.DecodeRune(first, second)
	if err == nil && r == utf8.RuneError {
		err = errUTF16
	}
	return r, err
}

func (d *decoder) unit() (rune, error) {
	var b [2]byte
	_, err := io.ReadFull(d.in, b[:])
	if err == io.ErrUnexpectedEOF {
		err = errUTF16
	}
	return rune(d.order.Uint16(b[:])), err
}

// lines turns CR LF and CR alone into LF.
type lines struct {
	in io.Reader
	cr bool // the byte before was CR
}

func (l *lines) Read(p []byte) (int, error) {
	for {
		n, err := l.in.Read(p)
		out := p[:0]
		for _, b := range p[:n] {
			after := l.cr
			l.cr = b == '\r'
			switch {
			case b == '\r':
				out = append(out, '\n')
			case b == '\n' && after:
			default:
				out = append(out, b)
			}
		}
		if len(out) > 0 || err != nil || len(p) == 0 {
			return len(out), err
		}
	}
}
