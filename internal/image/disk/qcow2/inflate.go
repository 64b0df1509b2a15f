package qcow2

import (
	"encoding/binary"
	"errors"
)

// errDeflate is a compressed cluster that is not deflate, or that ends before the
// cluster is full.
var errDeflate = errors.New("damaged deflate stream")

// inflater decompresses deflate (RFC 1951) from a slice into a slice, which a cluster
// of a qcow2 allows: it is whole in memory before and after. That takes half the time
// of decoders that read from streams and keep a window of their own. The zero value
// is ready; it is 30 KiB of tables, to be used again.
type inflater struct {
	literals  [1<<literalBits + maxLiterals/2<<(maxCodeBits-literalBits)]uint32
	distances [1<<distanceBits + maxDistances/2<<(maxCodeBits-distanceBits)]uint32
	lengths   [1 << lengthBits]uint32
	sizes     [maxLiterals + maxDistances]uint8 // of codes, in bits
	bitReader
}

// bitReader takes bits from the least significant one on. Behind the end of src there
// are zeros; whether any of them were used is what overrun tells.
type bitReader struct {
	src   []byte
	at    int    // what of src is in bits
	bits  uint64 // the next ones
	count uint   // how many of them count
	past  uint   // how many of them are not of src
}

// fill makes 56 bits or more count.
func (r *bitReader) fill() {
	if r.at+8 <= len(r.src) {
		r.bits |= binary.LittleEndian.Uint64(r.src[r.at:]) << (r.count & 63)
		r.at += int(63-r.count) >> 3
		r.count |= 56
		return
	}
	for r.count <= 56 {
		if r.at < len(r.src) {
			r.bits |= uint64(r.src[r.at]) << (r.count & 63)
			r.at++
		} else {
			r.past += 8
		}
		r.count += 8
	}
}

// take returns the next n bits, which must count.
func (r *bitReader) take(n uint) uint {
	v := uint(r.bits & (1<<(n&63) - 1))
	r.bits >>= n & 63
	r.count -= n
	return v
}

// overrun tells whether bits were taken that src does not have.
func (r *bitReader) overrun() bool { return r.past > r.count }

// inflate fills dst with what src decompresses to. Like QEMU it ignores what follows
// in src once dst is full, and takes a stream that is shorter for damaged.
func (f *inflater) inflate(dst, src []byte) error {
	f.bitReader = bitReader{src: src}
	defer func() { f.src = nil }()
	done := 0
	for done < len(dst) {
		f.fill()
		last, kind := f.take(1), f.take(2)
		var err error
		switch kind {
		case 0:
			done, err = f.stored(dst, done)
		case 1:
			f.fixed()
			done, err = f.block(dst, done)
		case 2:
			if err = f.dynamic(); err == nil {
				done, err = f.block(dst, done)
			}
		default:
			err = errDeflate
		}
		if err != nil {
			return err
		}
		if f.overrun() || (last == 1 && done < len(dst)) {
			return errDeflate
		}
	}
	return nil
}

// stored copies a block that is not compressed.
func (f *inflater) stored(dst []byte, done int) (int, error) {
	f.take(f.count & 7) // to the next byte
	f.fill()
	n, inverse := f.take(16), f.take(16)
	if f.overrun() || n^inverse != 0xffff {
		return done, errDeflate
	}
	at := f.at - int(f.count-f.past)/8
	f.bits, f.count, f.past = 0, 0, 0
	n = uint(min(int(n), len(dst)-done))
	if len(f.src)-at < int(n) {
		return done, errDeflate
	}
	done += copy(dst[done:], f.src[at:at+int(n)])
	f.at = at + int(n)
	return done, nil
}

// room is how far in front of the end of dst the fast loop stops: a match, the literals
// before it, and the words that are copied with its end.
const room = 258 + 3 + 8

// lookahead is how far in front of the end of src it stops: two fills.
const lookahead = 24

// block decodes the symbols of a block until it ends or dst is full.
func (f *inflater) block(dst []byte, done int) (int, error) {
	done, ended, err := f.fast(dst, done)
	if err != nil || ended {
		return done, err
	}
	for done < len(dst) {
		f.fill()
		e := f.literals[f.bits&(1<<literalBits-1)]
		if e&entryMore != 0 {
			f.take(literalBits)
			e = f.literals[e>>16+uint32(f.bits)&(1<<(maxCodeBits-literalBits)-1)]
		}
		if e&entryStop != 0 {
			f.take(uint(e & 63))
			if e&entryEnd == 0 || f.overrun() {
				return done, errDeflate
			}
			return done, nil
		}
		if e&entryLiteral != 0 {
			f.take(uint(e & 63))
			dst[done] = byte(e >> 16)
			done++
		} else {
			length, distance, ok := f.match(e)
			if !ok || distance > done {
				return done, errDeflate
			}
			length = min(length, len(dst)-done)
			for i := range length {
				dst[done+i] = dst[done+i-distance]
			}
			done += length
		}
		if f.overrun() {
			return done, errDeflate
		}
	}
	return done, nil
}

// match takes the length that a table's entry stands for, and the distance that
// follows it.
func (f *inflater) match(e uint32) (length, distance int, ok bool) {
	code := uint(e >> 8 & 15)
	length = int(e>>16) + int(f.take(uint(e&63))>>code)
	d := f.distances[f.bits&(1<<distanceBits-1)]
	if d&entryMore != 0 {
		f.take(distanceBits)
		d = f.distances[d>>16+uint32(f.bits)&(1<<(maxCodeBits-distanceBits)-1)]
	}
	if d&entryStop != 0 {
		return 0, 0, false
	}
	code = uint(d >> 8 & 15)
	return length, int(d>>16) + int(f.take(uint(d&63))>>code), true
}
