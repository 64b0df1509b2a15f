package wire

import (
	"crypto/sha256"
	"encoding/binary"
)

// auditTag is the domain of the audit chain's hashes.
const auditTag = "snpguard/v1/audit"

// AuditHash returns the hash of the audit chain up to the record seq, whose body is
// given: SHA-256 over the domain tag, the hash up to the record before (zero bytes
// for the first), the number of the record and its body, each preceded by its
// length, 32 bits, big-endian (docs/audit-log.md).
func AuditHash(previous [sha256.Size]byte, seq int64, body []byte) [sha256.Size]byte {
	sum := sha256.New()
	for _, field := range [][]byte{[]byte(auditTag), previous[:], binary.BigEndian.AppendUint64(nil, uint64(seq)), body} {
		sum.Write(binary.BigEndian.AppendUint32(nil, uint32(len(field))))
		sum.Write(field)
	}
	return [sha256.Size]byte(sum.Sum(nil))
}
