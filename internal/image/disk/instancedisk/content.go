package instancedisk

import (
	"bytes"
	"crypto/sha256"
	"fmt"
)

// A record with content has its length in the word, a checksum and what belongs to
// the kind in front of it, and zeros behind it. The checksum is SHA-256 of the record
// with zeros in the checksum's place.

const checksumSize = sha256.Size

// withContent fills in content and checksum. The content begins so many bytes into the
// record, right behind the checksum.
func withContent(b []byte, at int, content []byte) []byte {
	copy(b[at:], content)
	sum := sha256.Sum256(b)
	copy(b[at-checksumSize:], sum[:])
	return b
}

// content returns a copy of the content of a record, length bytes.
func content(b []byte, at int, length uint32) ([]byte, error) {
	if length == 0 || int64(length) > int64(len(b)-at) {
		return nil, fmt.Errorf("%w: a content of %d bytes, want 1 to %d", ErrForm, length, len(b)-at)
	}
	if !isZero(b[at+int(length):]) {
		return nil, fmt.Errorf("%w: the rest is not zero", ErrForm)
	}
	whole := bytes.Clone(b)
	clear(whole[at-checksumSize : at])
	if sum := sha256.Sum256(whole); !bytes.Equal(sum[:], b[at-checksumSize:at]) {
		return nil, fmt.Errorf("%w: the checksum does not match", ErrForm)
	}
	return whole[at : at+int(length)], nil
}
