package gunzip

import (
	"io"
)

// unread puts the whole bytes in bits back into the input.
func (f *inflater) unread() {
	f.ip -= int(f.n >> 3)
	f.n &= 7
	f.bits &= 1<<f.n - 1
}

// more reads more input, and reports whether there is enough for the fast loop.
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

// load fills bits up to n bits, at most 48, and reports whether it could.
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

// drop discards n of the bits held.
func (f *inflater) drop(n uint) {
	f.bits >>= n
	f.n -= n
}

// take returns the next n bits.
func (f *inflater) take(n uint) (int, error) {
	if !f.load(n) {
		return 0, f.short()
	}
	v := int(f.bits & (1<<n - 1))
	f.drop(n)
	return v, nil
}

// short returns the error for input that ends too early.
func (f *inflater) short() error {
	if f.err == nil || f.err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return f.err
}
