package access

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"strings"
)

// Prefixes tell people and programs what a leaked secret was for.
const (
	tokenPrefix   = "snpg_"
	sessionPrefix = "snps_"
)

// secretSize is the size of a token or a session in bytes, without prefix and
// encoding.
const secretSize = 32

// newSecret returns a prefix and secretSize random bytes in base64url, and the
// hash to keep of them.
func newSecret(prefix string) (secret string, hash [sha256.Size]byte) {
	b := make([]byte, secretSize)
	rand.Read(b) // never fails, see crypto/rand
	secret = prefix + base64.RawURLEncoding.EncodeToString(b)
	return secret, sha256.Sum256([]byte(secret))
}

// hashSecret returns the hash to look a secret up by, and whether it has the
// form of one. Lookup by the hash leaks nothing: nobody can choose hashes that
// come near a stored one.
func hashSecret(prefix, secret string) (hash [sha256.Size]byte, ok bool) {
	encoded, found := strings.CutPrefix(secret, prefix)
	if !found || len(encoded) != base64.RawURLEncoding.EncodedLen(secretSize) {
		return hash, false
	}
	if _, err := base64.RawURLEncoding.Strict().DecodeString(encoded); err != nil {
		return hash, false
	}
	return sha256.Sum256([]byte(secret)), true
}

// IsSession reports whether a secret has the form of a session's, not a token's.
func IsSession(secret string) bool { return strings.HasPrefix(secret, sessionPrefix) }
