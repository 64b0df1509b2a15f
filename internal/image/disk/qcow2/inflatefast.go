package qcow2

import "encoding/binary"

// fast decodes symbols as block does while src and dst are long enough to do without
// looking at their ends for each: what a match copies too much is written over by what
// follows. Its state is in variables, which the compiler keeps in registers.
//
//nolint:funlen // of one loop, which calls would slow down
func (f *inflater) fast(dst []byte, done int) (_ int, ended bool, err error) {
	src, at, bits, count := f.src, f.at, f.bits, f.count
	literals, distances := &f.literals, &f.distances
	for at+lookahead <= len(src) && done+room <= len(dst) {
		bits |= binary.LittleEndian.Uint64(src[at:]) << (count & 63)
		at += int(63-count) >> 3
		count |= 56
		e := literals[bits&(1<<literalBits-1)]
		// Three of the first table take no more than 33 bits.
		if e&entryLiteral != 0 {
			bits, count = bits>>(e&63), count-uint(e&63)
			dst[done] = byte(e >> 16)
			done++
			e = literals[bits&(1<<literalBits-1)]
			if e&entryLiteral != 0 {
				bits, count = bits>>(e&63), count-uint(e&63)
				dst[done] = byte(e >> 16)
				done++
				e = literals[bits&(1<<literalBits-1)]
				if e&entryLiteral != 0 {
					bits, count = bits>>(e&63), count-uint(e&63)
					dst[done] = byte(e >> 16)
					done++
					continue
				}
			}
			bits |= binary.LittleEndian.Uint64(src[at:]) << (count & 63)
			at += int(63-count) >> 3
			count |= 56
		}
		if e&(entryMore|entryStop) != 0 {
			if e&entryMore != 0 {
				bits, count = bits>>literalBits, count-literalBits
				e = literals[e>>16+uint32(bits)&(1<<(maxCodeBits-literalBits)-1)]
			}
			if e&entryStop != 0 {
				bits, count = bits>>(e&63), count-uint(e&63)
				if e&entryEnd == 0 {
					return done, false, errDeflate
				}
				ended = true
				break
			}
			if e&entryLiteral != 0 {
				bits, count = bits>>(e&63), count-uint(e&63)
				dst[done] = byte(e >> 16)
				done++
				continue
			}
		}
		length := int(e>>16) + int(bits&(1<<(e&63)-1)>>(e>>8&15))
		bits, count = bits>>(e&63), count-uint(e&63)
		d := distances[bits&(1<<distanceBits-1)]
		if d&(entryMore|entryStop) != 0 {
			if d&entryMore != 0 {
				bits, count = bits>>distanceBits, count-distanceBits
				d = distances[d>>16+uint32(bits)&(1<<(maxCodeBits-distanceBits)-1)]
			}
			if d&entryStop != 0 {
				return done, false, errDeflate
			}
		}
		distance := int(d>>16) + int(bits&(1<<(d&63)-1)>>(d>>8&15))
		bits, count = bits>>(d&63), count-uint(d&63)
		if distance > done {
			return done, false, errDeflate
		}
		after := done + length
		if distance < 8 {
			repeat(dst, done, length, distance)
		} else {
			for from := done - distance; done < after; done, from = done+8, from+8 {
				binary.LittleEndian.PutUint64(dst[done:], binary.LittleEndian.Uint64(dst[from:]))
			}
		}
		done = after
	}
	f.at, f.bits, f.count = at, bits, count
	return done, ended, nil
}

// repeat copies a match that is at a distance of less than eight bytes, and up to seven
// bytes more.
func repeat(dst []byte, done, length, distance int) {
	end := done + length
	if distance == 1 {
		word := uint64(dst[done-1]) * 0x0101010101010101
		for ; done < end; done += 8 {
			binary.LittleEndian.PutUint64(dst[done:], word)
		}
		return
	}
	for ; done < end; done++ {
		dst[done] = dst[done-distance]
	}
}
