package gunzip

import (
	"bufio"
	"compress/gzip"
	"errors"
	"io"
)

const (
	window = 32 << 10 // how far back a match may reach: RFC 1951, 2
	// slack is the most that one turn of the fast loop adds to the output:
	// some literals and one match of 258 bytes.
	slack = 8 + 258
	// reserve is the input that one turn of the fast loop may load.
	reserve = 16
)

// Errors for data that no compressor writes.
var (
	errBlock    = errors.New("gzip: unknown block type")
	errStored   = errors.New("gzip: stored block length does not match its complement")
	errLengths  = errors.New("gzip: invalid code lengths")
	errCode     = errors.New("gzip: invalid code")
	errDistance = errors.New("gzip: match reaches back before the start")
)

// state is what the next byte of a member belongs to.
type state int

const (
	between state = iota // two blocks
	stored               // the bytes of a stored block
	coded                // the codes of a compressed block
)

// inflater decodes the blocks of one member after another.
type inflater struct {
	header gzip.Reader // reads headers, and no more

	src *bufio.Reader
	in  []byte // what src holds
	ip  int    // where the first byte lies that is not in bits
	// bits holds the next n input bits, the first one lowest. The bits
	// above those may hold input that follows, or zeros.
	bits uint64
	n    uint
	err  error // why src has no more

	out []byte // window bytes of what came before, then what is decoded
	op  int    // where the next byte goes
	low int    // the first byte that a match may reach

	state state
	last  bool // the block is the member's last
	left  int  // of a stored block, in bytes

	lit        [1 << litBits]entry
	dist       [1 << distBits]entry
	litSecond  [litSecond]entry
	distSecond [distSecond]entry
	lengths    [litCodes + distCodes]uint8
}

// begin sets the output buffer. Its window is what was decoded last, unless
// that belongs to another member.
func (f *inflater) begin(out []byte, member bool) {
	reach := 0
	if !member {
		reach = min(f.op-f.low, window)
		copy(out[window-reach:], f.out[f.op-reach:f.op])
	}
	f.out, f.op, f.low = out, window, window-reach
}

// fill decodes until out is full, and returns nil, or until the member ends,
// and returns io.EOF. Truncated input is io.ErrUnexpectedEOF. Whatever was
// decoded before an error is in out.
func (f *inflater) fill() error {
	for f.op <= len(f.out)-slack {
		var err error
		switch {
		case f.state == stored:
			err = f.copyStored()
		case f.state == coded:
			err = f.decode()
		case f.last:
			f.last = false
			f.settle(nil)
			f.n, f.bits = 0, 0 // the rest of the last byte is padding
			return io.EOF
		default:
			err = f.blockHeader()
		}
		if err != nil {
			f.settle(err)
			return err
		}
	}
	return nil
}

// settle leaves src where decoding ended, or at its end if the input is
// truncated.
func (f *inflater) settle(err error) {
	f.unread()
	if err == io.ErrUnexpectedEOF {
		f.ip = len(f.in)
	}
	f.src.Discard(f.ip)
	f.in, f.ip = nil, 0
}

// blockHeader reads what precedes a block's data: RFC 1951, 3.2.3.
func (f *inflater) blockHeader() error {
	head, err := f.take(3)
	if err != nil {
		return err
	}
	f.last = head&1 == 1
	switch head >> 1 {
	case 0:
		return f.storedHeader()
	case 1:
		f.state = coded
		f.fixedCodes()
		return nil
	case 2:
		f.state = coded
		return f.dynamicCodes()
	default:
		return errBlock
	}
}

func (f *inflater) storedHeader() error {
	f.drop(f.n & 7)
	size, err := f.take(16)
	if err != nil {
		return err
	}
	check, err := f.take(16)
	if err != nil {
		return err
	}
	if size != ^check&0xffff {
		return errStored
	}
	f.unread()
	f.state, f.left = stored, size
	return nil
}

func (f *inflater) copyStored() error {
	for f.left > 0 && f.op <= len(f.out)-slack {
		if f.ip == len(f.in) && !f.more() && len(f.in) == 0 {
			return f.short()
		}
		room := min(f.left, len(f.out)-f.op)
		n := copy(f.out[f.op:f.op+room], f.in[f.ip:])
		f.op += n
		f.ip += n
		f.left -= n
	}
	if f.left == 0 {
		f.state = between
	}
	return nil
}

func (f *inflater) fixedCodes() {
	lengths := f.lengths[:litCodes]
	for i := range lengths {
		switch {
		case i < 144, i >= 280:
			lengths[i] = 8
		case i < 256:
			lengths[i] = 9
		default:
			lengths[i] = 7
		}
	}
	build(f.lit[:], f.litSecond[:], lengths, litEntries[:])
	lengths = f.lengths[:distCodes]
	for i := range lengths {
		lengths[i] = 5
	}
	build(f.dist[:], f.distSecond[:], lengths, distEntries[:])
}

// lengthOrder is the order of the code lengths' own lengths: RFC 1951, 3.2.7.
var lengthOrder = [19]uint8{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15}

func (f *inflater) dynamicCodes() error {
	head, err := f.take(14)
	if err != nil {
		return err
	}
	lits, dists, n := head&31+257, head>>5&31+1, head>>10+4
	if lits > 286 || dists > 30 {
		return errLengths
	}
	var own [19]uint8
	for _, i := range lengthOrder[:n] {
		v, err := f.take(3)
		if err != nil {
			return err
		}
		own[i] = uint8(v)
	}
	if !build(f.dist[:1<<lengthBits], nil, own[:], lengthEntries[:]) {
		return errLengths
	}
	if err := f.readLengths(f.lengths[:lits+dists]); err != nil {
		return err
	}
	if f.lengths[endOfBlock] == 0 ||
		!build(f.lit[:], f.litSecond[:], f.lengths[:lits], litEntries[:]) ||
		!build(f.dist[:], f.distSecond[:], f.lengths[lits:lits+dists], distEntries[:]) {
		return errLengths
	}
	return nil
}

// readLengths reads the lengths of the codes, themselves coded by the table
// that lies in dist.
func (f *inflater) readLengths(lengths []uint8) error {
	for i := 0; i < len(lengths); {
		f.load(lengthBits)
		e := f.dist[f.bits&(1<<lengthBits-1)]
		if e == invalid {
			return f.badOrShort(lengthBits)
		}
		if e&lengthMask > entry(f.n) {
			return f.short()
		}
		f.drop(uint(e & lengthMask))
		symbol := e >> valueShift & valueMask
		if symbol < 16 {
			lengths[i] = uint8(symbol)
			i++
			continue
		}
		var same uint8
		bits, least := uint(7), 11
		switch symbol {
		case 16:
			if i == 0 {
				return errLengths
			}
			same, bits, least = lengths[i-1], 2, 3
		case 17:
			bits, least = 3, 3
		}
		n, err := f.take(bits)
		if err != nil {
			return err
		}
		if n += least; n > len(lengths)-i {
			return errLengths
		}
		for ; n > 0; n-- {
			lengths[i] = same
			i++
		}
	}
	return nil
}
