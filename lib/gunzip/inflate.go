package gunzip

import (
	"bufio"
	"encoding/binary"
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

// What a member can hold that no compressor writes.
var (
	errBlock    = errors.New("gzip: unknown kind of block")
	errStored   = errors.New("gzip: the length of a stored block contradicts itself")
	errLengths  = errors.New("gzip: impossible lengths of codes")
	errCode     = errors.New("gzip: a code that stands for nothing")
	errDistance = errors.New("gzip: a match that reaches back before the beginning")
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
	src *bufio.Reader
	in  []byte // what src holds
	ip  int    // where the first byte lies that is not in bits
	// bits holds the next input bits, the first lowest, and n says of how
	// many that is true. Those above may hold the bits that follow, or zeros.
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

// begin makes out the output, which goes on from what was decoded last unless
// that belongs to another member.
func (f *inflater) begin(out []byte, member bool) {
	reach := 0
	if !member {
		reach = min(f.op-f.low, window)
		copy(out[window-reach:], f.out[f.op-reach:f.op])
	}
	f.out, f.op, f.low = out, window, window-reach
}

// fill decodes until out is full, then nil, or the member has ended, then
// io.EOF. Too short an input is an io.ErrUnexpectedEOF. What was decoded
// before an error is in out.
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
			f.n, f.bits = 0, 0 // the rest of the last byte means nothing
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

// settle leaves src where decoding has ended: behind all that there is, if
// that is too little.
func (f *inflater) settle(err error) {
	f.unread()
	if err == io.ErrUnexpectedEOF {
		f.ip = len(f.in)
	}
	f.src.Discard(f.ip)
	f.in, f.ip = nil, 0
}

// unread gives back the whole bytes in bits.
func (f *inflater) unread() {
	f.ip -= int(f.n >> 3)
	f.n &= 7
	f.bits &= 1<<f.n - 1
}

// more gets more input, and tells whether the fast loop has enough.
func (f *inflater) more() bool {
	f.unread()
	f.src.Discard(f.ip)
	f.ip = 0
	if _, err := f.src.Peek(reserve); err != nil {
		f.err = err
	}
	f.in, _ = f.src.Peek(f.src.Buffered())
	return len(f.in) >= reserve
}

// load tells whether bits holds n bits, at most 48, after getting them.
func (f *inflater) load(n uint) bool {
	if f.n >= n {
		return true
	}
	if len(f.in)-f.ip < 8 {
		f.more()
	}
	for f.n <= 48 && f.ip < len(f.in) {
		f.bits |= uint64(f.in[f.ip]) << f.n
		f.ip++
		f.n += 8
	}
	return f.n >= n
}

// drop takes n of the bits that are there.
func (f *inflater) drop(n uint) {
	f.bits >>= n
	f.n -= n
}

// take gives the next n bits.
func (f *inflater) take(n uint) (int, error) {
	if !f.load(n) {
		return 0, f.short()
	}
	v := int(f.bits & (1<<n - 1))
	f.drop(n)
	return v, nil
}

// short is the error of an input that ends too early.
func (f *inflater) short() error {
	if f.err == nil || f.err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return f.err
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

// badOrShort tells why a code of up to n bits means nothing.
func (f *inflater) badOrShort(n uint) error {
	if f.n < n {
		return f.short()
	}
	return errCode
}

// decode reads codes until the block has ended or out is full.
func (f *inflater) decode() error {
	for f.state == coded && f.op <= len(f.out)-slack {
		var err error
		if len(f.in)-f.ip >= reserve || f.more() {
			err = f.decodeFast()
		} else {
			err = f.decodeOne()
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// decodeOne reads one code, and a match's second, at the end of the input.
func (f *inflater) decodeOne() error {
	f.load(48)
	e, err := f.lookup(f.lit[:], f.litSecond[:], litBits)
	switch {
	case err != nil:
		return err
	case e&literal != 0:
		f.out[f.op] = byte(e >> valueShift)
		f.op++
		return nil
	case e&special != 0:
		f.state = between
		return nil
	}
	length, err := f.take(uint(e >> extraShift & extraMask))
	if err != nil {
		return err
	}
	length += int(e >> valueShift & valueMask)
	f.load(48)
	if e, err = f.lookup(f.dist[:], f.distSecond[:], distBits); err != nil {
		return err
	}
	back, err := f.take(uint(e >> extraShift & extraMask))
	if err != nil {
		return err
	}
	back += int(e >> valueShift & valueMask)
	if back > f.op-f.low {
		return errDistance
	}
	repeat(f.out, f.op, back, length)
	f.op += length
	return nil
}

// lookup takes one code.
func (f *inflater) lookup(first, second []entry, index uint) (entry, error) {
	e := first[f.bits&(1<<index-1)]
	n := uint(e & lengthMask)
	if e&longer != 0 {
		e = second[uint64(e>>valueShift&valueMask)+f.bits>>index&(1<<(maxCode-index)-1)]
		n = index + uint(e&lengthMask)
	}
	if e&invalid == invalid {
		return 0, f.badOrShort(maxCode)
	}
	if n > f.n {
		return 0, f.short()
	}
	f.drop(n)
	return e, nil
}

// repeat appends length bytes that were written back bytes ago. The two may
// overlap: then the bytes repeat.
func repeat(out []byte, at, back, length int) {
	if back >= length {
		copy(out[at:at+length], out[at-back:])
		return
	}
	for end := at + length; at < end; at++ {
		out[at] = out[at-back]
	}
}

// decodeFast reads codes while there are at least reserve bytes of input and
// slack bytes of room. Its state is in local variables, which the compiler
// keeps in registers, and a load of input is enough for five literals or one
// match (48 bits).
func (f *inflater) decodeFast() (err error) {
	const litMask, distMask = 1<<litBits - 1, 1<<distBits - 1
	in, ip, bits, n := f.in, f.ip, f.bits, f.n
	out, op := f.out, f.op
	lit, dist := &f.lit, &f.dist
	lastIn, lastOut := len(in)-reserve, len(out)-slack
loop:
	for ip <= lastIn && op <= lastOut {
		bits |= binary.LittleEndian.Uint64(in[ip:]) << (n & 63)
		ip += int((63 - n) >> 3)
		n |= 56
		e := lit[bits&litMask]
		for range 4 {
			if e&literal == 0 {
				break
			}
			bits >>= e & lengthMask
			n -= uint(e & lengthMask)
			out[op] = byte(e >> valueShift)
			op++
			e = lit[bits&litMask]
		}
		if e&literal != 0 {
			bits >>= e & lengthMask
			n -= uint(e & lengthMask)
			out[op] = byte(e >> valueShift)
			op++
			continue
		}
		if n < 48 {
			bits |= binary.LittleEndian.Uint64(in[ip:]) << (n & 63)
			ip += int((63 - n) >> 3)
			n |= 56
		}
		if e&longer != 0 {
			bits >>= litBits
			n -= litBits
			e = f.litSecond[e>>valueShift&valueMask+entry(bits&(1<<(maxCode-litBits)-1))]
		}
		bits >>= e & lengthMask
		n -= uint(e & lengthMask)
		if e&literal != 0 {
			out[op] = byte(e >> valueShift)
			op++
			continue
		}
		if e&special != 0 {
			f.state = between
			if e&invalid == invalid {
				err = errCode
			}
			break
		}
		extra := e >> extraShift & extraMask
		length := int(e>>valueShift) + int(bits&(1<<extra-1))
		bits >>= extra
		n -= uint(extra)

		d := dist[bits&distMask]
		if d&longer != 0 {
			bits >>= distBits
			n -= distBits
			d = f.distSecond[d>>valueShift&valueMask+entry(bits&(1<<(maxCode-distBits)-1))]
		}
		bits >>= d & lengthMask
		n -= uint(d & lengthMask)
		extra = d >> extraShift & extraMask
		back := int(d>>valueShift&valueMask) + int(bits&(1<<extra-1))
		bits >>= extra
		n -= uint(extra)
		switch {
		case d&special != 0:
			err = errCode
			break loop
		case back > op-f.low:
			err = errDistance
			break loop
		}
		repeat(out, op, back, length)
		op += length
	}
	f.ip, f.bits, f.n, f.op = ip, bits, n, op
	return err
}
