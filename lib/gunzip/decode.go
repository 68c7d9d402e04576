package gunzip

import "encoding/binary"

// badOrShort returns why a code of up to n bits could not be decoded.
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

// decodeOne decodes one literal or match, near the end of the input.
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

// lookup decodes one code.
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

// repeat copies length bytes from back bytes before at. Where the two overlap,
// the bytes repeat.
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
// match (48 bits). It is one function because a call in the loop would spill
// the registers.
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
