package gunzip

import "math/bits"

// An entry of a code table says what a run of input bits means:
//
//	bits 0 to 5    bits that its code takes (in a second table, after the first's)
//	bits 8 to 12   extra bits that follow the code
//	bits 13 to 28  literal, or least length or distance, or where the second
//	               table of a longer code begins
//	bits 29 to 31  the marks below
type entry = uint32

const (
	literal entry = 1 << 31
	longer  entry = 1 << 30 // the code continues in a second table
	special entry = 1 << 29 // the end of the block, or an invalid code
	invalid entry = special | 1<<8

	lengthMask = 63
	extraShift = 8
	extraMask  = 31
	valueShift = 13
	valueMask  = 0xffff
)

const (
	maxCode    = 15 // bits of the longest code
	litBits    = 11 // of input that index the first table
	distBits   = 9
	lengthBits = 7 // the longest code of a code length: one table is enough
	litCodes   = 288
	distCodes  = 32
	endOfBlock = 256

	// A code longer than the first table's index has at least one sibling
	// there, so that at most half of the codes begin a second table.
	litSecond  = litCodes / 2 << (maxCode - litBits)
	distSecond = distCodes / 2 << (maxCode - distBits)
)

// The meaning of each code, before its length is known: RFC 1951, 3.2.5.
var (
	litEntries    = makeLitEntries()
	distEntries   = makeDistEntries()
	lengthEntries = makeLengthEntries()
)

func makeLitEntries() (e [litCodes]entry) {
	for i := range 256 {
		e[i] = literal | entry(i)<<valueShift
	}
	e[endOfBlock] = special
	base := entry(3)
	for i := endOfBlock + 1; i < 285; i++ {
		extra := entry(max(i-261, 0) / 4) // none for eight lengths, then one more for each four
		e[i] = base<<valueShift | extra<<extraShift
		base += 1 << extra
	}
	e[285] = 258 << valueShift
	e[286], e[287] = invalid, invalid
	return e
}

func makeDistEntries() (e [distCodes]entry) {
	base := entry(1)
	for i := range 30 {
		extra := entry(max(i/2-1, 0))
		e[i] = base<<valueShift | extra<<extraShift
		base += 1 << extra
	}
	e[30], e[31] = invalid, invalid
	return e
}

func makeLengthEntries() (e [19]entry) {
	for i := range e {
		e[i] = entry(i) << valueShift
	}
	return e
}

// build fills a first table, indexed by as many bits as its length has, and
// second for longer codes, from the lengths of the codes. It returns false for
// lengths that no prefix code has. As in zlib, a code may be incomplete only if
// it is a single one of one bit, or there is none.
func build(first, second []entry, lengths []uint8, meaning []entry) bool {
	var count, next [maxCode + 1]int
	for _, n := range lengths {
		count[n]++
	}
	count[0] = 0
	code, codes := 0, 0
	for n := 1; n <= maxCode; n++ {
		code = (code + count[n-1]) << 1
		next[n] = code
		codes += count[n]
	}
	code += count[maxCode]
	if code != 1<<maxCode && codes != 0 && !(codes == 1 && count[1] == 1) {
		return false
	}
	for i := range first {
		first[i] = invalid
	}
	index := bits.Len(uint(len(first))) - 1
	used := 0
	for i, length := range lengths {
		n := int(length)
		if n == 0 {
			continue
		}
		at := int(bits.Reverse16(uint16(next[n])) >> (16 - n)) // codes begin with their highest bit
		next[n]++
		if n <= index {
			for ; at < len(first); at += 1 << n {
				first[at] = meaning[i] | entry(n)
			}
			continue
		}
		low := at & (len(first) - 1)
		if first[low] == invalid {
			first[low] = longer | entry(used)<<valueShift
			used += 1 << (maxCode - index)
		}
		start := int(first[low] >> valueShift & valueMask)
		rest := n - index
		for at >>= index; at < 1<<(maxCode-index); at += 1 << rest {
			second[start+at] = meaning[i] | entry(rest)
		}
	}
	return true
}
