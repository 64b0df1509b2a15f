package access

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"

	"golang.org/x/crypto/argon2"
)

// Params are the costs of argon2id.
type Params struct {
	Time    uint32 // passes over the memory
	Memory  uint32 // in KiB
	Threads uint8
}

// DefaultParams returns the second choice that RFC 9106, section 4, recommends,
// on one thread, since the service has better things to do with the others.
func DefaultParams() Params { return Params{Time: 3, Memory: 64 << 10, Threads: 1} }

// Limits on what is read from a stored hash, so that a damaged one cannot
// exhaust the memory.
const (
	maxTime    = 64
	maxMemory  = 1 << 20
	maxThreads = 16
)

// Sizes in bytes of what a hash is made with and has (RFC 9106, section 4).
const (
	saltSize = 16
	hashSize = 32
)

// errHash is a stored password hash that is not one.
var errHash = errors.New("malformed password hash")

// passwordHash is a hash with all that is needed to compute it again.
type passwordHash struct {
	params Params
	salt   []byte
	hash   []byte
}

func newPasswordHash(password string, params Params) passwordHash {
	salt := make([]byte, saltSize)
	rand.Read(salt) // never fails, see crypto/rand
	return passwordHash{params, salt, params.compute(password, salt)}
}

func (p Params) compute(password string, salt []byte) []byte {
	return argon2.IDKey([]byte(password), salt, p.Time, p.Memory, p.Threads, hashSize)
}

// matches computes the hash of a password and compares.
func (h passwordHash) matches(password string) bool {
	return subtle.ConstantTimeCompare(h.params.compute(password, h.salt), h.hash) == 1
}

// encoded returns the PHC string, such as $argon2id$v=19$m=65536,t=3,p=1$SALT$HASH.
func (h passwordHash) encoded() []byte {
	b64 := base64.RawStdEncoding
	return fmt.Appendf(nil, phcFormat, argon2.Version, h.params.Memory, h.params.Time, h.params.Threads,
		b64.EncodeToString(h.salt)+"$"+b64.EncodeToString(h.hash))
}

const phcFormat = "$argon2id$v=%d$m=%d,t=%d,p=%d$%s"

// parsePasswordHash reads what encoded returned. The error wraps errHash.
func parsePasswordHash(stored []byte) (passwordHash, error) {
	var h passwordHash
	var version int
	var rest string
	if _, err := fmt.Sscanf(string(stored), phcFormat, &version, &h.params.Memory, &h.params.Time, &h.params.Threads, &rest); err != nil {
		return h, errHash
	}
	const saltDigits = (saltSize*8 + 5) / 6
	if version != argon2.Version || len(rest) <= saltDigits || rest[saltDigits] != '$' {
		return h, errHash
	}
	var err error
	if h.salt, err = base64.RawStdEncoding.Strict().DecodeString(rest[:saltDigits]); err != nil {
		return h, errHash
	}
	if h.hash, err = base64.RawStdEncoding.Strict().DecodeString(rest[saltDigits+1:]); err != nil || len(h.hash) != hashSize {
		return h, errHash
	}
	p := h.params
	if p.Time < 1 || p.Time > maxTime || p.Threads < 1 || p.Threads > maxThreads || p.Memory < 8*uint32(p.Threads) || p.Memory > maxMemory {
		return h, fmt.Errorf("%w: costs %+v", errHash, p)
	}
	return h, nil
}
