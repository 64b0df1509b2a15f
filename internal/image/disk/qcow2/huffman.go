package qcow2

import "math/bits"

// Codes of deflate, RFC 1951 section 3.2.
const (
	maxCodeBits  = 15
	maxLiterals  = 288 // of literals, lengths and the end of a block
	maxDistances = 32

	literalBits  = 11 // that the first table decodes at once
	distanceBits = 8
	lengthBits   = 7 // the longest code of the lengths of codes
)

// An entry of a table says in its low six bits how many bits a symbol takes, those
// behind its code included, in four bits from the eighth on how many of them are its
// code, and in the upper half what it stands for: a byte, the smallest of the lengths
// or distances, or where the table goes on for longer codes.
const (
	entryStop    = 1 << 6 // neither a byte nor a length
	entryMore    = 1 << 7
	entryEnd     = 1 << 12 // with entryStop: the end of a block
	entryLiteral = 1 << 31
)

// literal, distance and length are the entries of symbols, without the bits of their
// codes; section 3.2.5 has the tables.
func literal(symbol uint32) uint32 {
	switch {
	case symbol < 256:
		return entryLiteral | symbol<<16
	case symbol == 256:
		return entryStop | entryEnd
	case symbol < 265:
		return (symbol - 254) << 16
	case symbol < 285: // four of each number of bits
		extra := (symbol - 261) / 4
		return (3+(4+(symbol-265)%4)<<extra)<<16 | extra
	case symbol == 285:
		return 258 << 16
	}
	return entryStop
}

func distance(symbol uint32) uint32 {
	switch {
	case symbol < 4:
		return (symbol + 1) << 16
	case symbol < 30: // two of each number of bits
		extra := symbol/2 - 1
		return (1+(2+symbol%2)<<extra)<<16 | extra
	}
	return entryStop
}

func length(symbol uint32) uint32 { return symbol << 16 }

// build makes the table for codes of the given sizes. Codes of more than so many bits
// are found in a second step, in a part of the table that is theirs. A set that is not
// complete is damaged, but for none at all and for a single code of one bit.
func build(table []uint32, first int, sizes []uint8, entry func(symbol uint32) uint32) error {
	var many, next [maxCodeBits + 1]int
	for _, size := range sizes {
		many[size]++
	}
	many[0] = 0
	left, longest := 1, 0
	for size := 1; size <= maxCodeBits; size++ {
		next[size] = (next[size-1] + many[size-1]) << 1
		if left = left<<1 - many[size]; left < 0 {
			return errDeflate
		}
		if many[size] > 0 {
			longest = size
		}
	}
	if left > 0 {
		if longest > 1 {
			return errDeflate
		}
		for i := range 1 << first {
			table[i] = entryStop
		}
	}
	free := 1 << first
	if longest > first {
		for i := range 1 << first {
			table[i] = 0
		}
	}
	for symbol, size := range sizes {
		if size == 0 {
			continue
		}
		code := int(bits.Reverse16(uint16(next[size])) >> (16 - size))
		next[size]++
		e := entry(uint32(symbol))
		if int(size) <= first {
			spread(table[:1<<first], code, int(size), e+uint32(size)<<8+uint32(size))
			continue
		}
		head := &table[code&(1<<first-1)]
		if *head == 0 {
			*head = entryMore | uint32(free)<<16
			free += 1 << (maxCodeBits - first)
		}
		rest := int(size) - first
		spread(table[*head>>16:][:1<<(maxCodeBits-first)], code>>first, rest, e+uint32(rest)<<8+uint32(rest))
	}
	return nil
}

// spread enters a code of so many bits wherever it is followed by other bits.
func spread(table []uint32, code, size int, e uint32) {
	for i := code; i < len(table); i += 1 << size {
		table[i] = e
	}
}

// fixed makes the tables of RFC 1951, section 3.2.6.
func (f *inflater) fixed() {
	sizes := f.sizes[:]
	for i := range sizes {
		switch {
		case i < 144:
			sizes[i] = 8
		case i < 256:
			sizes[i] = 9
		case i < 280:
			sizes[i] = 7
		case i < maxLiterals:
			sizes[i] = 8
		default:
			sizes[i] = 5
		}
	}
	// They are complete.
	_ = build(f.literals[:], literalBits, sizes[:maxLiterals], literal)
	_ = build(f.distances[:], distanceBits, sizes[maxLiterals:], distance)
}

// lengthOrder is that of section 3.2.7.
var lengthOrder = [19]uint8{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15}

// dynamic reads the tables at the head of a block, section 3.2.7.
func (f *inflater) dynamic() error {
	f.fill()
	literals, distances, lengths := int(f.take(5))+257, int(f.take(5))+1, int(f.take(4))+4
	if literals > 286 || distances > 30 {
		return errDeflate
	}
	var sizes [len(lengthOrder)]uint8
	for _, i := range lengthOrder[:lengths] {
		f.fill()
		sizes[i] = uint8(f.take(3))
	}
	if err := build(f.lengths[:], lengthBits, sizes[:], length); err != nil {
		return err
	}
	if err := f.readSizes(f.sizes[:literals+distances]); err != nil {
		return err
	}
	if err := build(f.literals[:], literalBits, f.sizes[:literals], literal); err != nil {
		return err
	}
	return build(f.distances[:], distanceBits, f.sizes[literals:literals+distances], distance)
}

// readSizes reads the sizes of codes, which are compressed too.
func (f *inflater) readSizes(sizes []uint8) error {
	for i := 0; i < len(sizes); {
		f.fill()
		e := f.lengths[f.bits&(1<<lengthBits-1)]
		f.take(uint(e & 63))
		if e&entryStop != 0 || f.overrun() {
			return errDeflate
		}
		size, n := uint8(e>>16), 1
		switch size {
		case 16:
			if i == 0 {
				return errDeflate
			}
			size, n = sizes[i-1], 3+int(f.take(2))
		case 17:
			size, n = 0, 3+int(f.take(3))
		case 18:
			size, n = 0, 11+int(f.take(7))
		}
		if n > len(sizes)-i {
			return errDeflate
		}
		for ; n > 0; n-- {
			sizes[i] = size
			i++
		}
	}
	if f.overrun() {
		return errDeflate
	}
	return nil
}
