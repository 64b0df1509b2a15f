package access

import (
	"crypto/hmac"
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

// newSecret returns a prefix and secretSize random bytes in base64url.
func newSecret(prefix string) string {
	b := make([]byte, secretSize)
	rand.Read(b) // never fails, see crypto/rand
	return prefix + base64.RawURLEncoding.EncodeToString(b)
}

// isSecret reports whether a secret has the form of those that newSecret makes.
func isSecret(prefix, secret string) bool {
	encoded, found := strings.CutPrefix(secret, prefix)
	if !found || len(encoded) != base64.RawURLEncoding.EncodedLen(secretSize) {
		return false
	}
	_, err := base64.RawURLEncoding.Strict().DecodeString(encoded)
	return err == nil
}

// lookupKey hashes secrets, so that whoever writes to the database cannot make the
// row of a secret of their own.
type lookupKey []byte

// hash is the HMAC-SHA-256 by which a secret is looked up. Lookup by it leaks nothing:
// nobody can choose secrets whose hashes come near a stored one.
func (k lookupKey) hash(secret string) [sha256.Size]byte {
	h := hmac.New(sha256.New, k)
	h.Write([]byte("snpguard/v1/secret\x00" + secret))
	return [sha256.Size]byte(h.Sum(nil))
}

// IsSession reports whether a secret has the form of a session's, not a token's.
func IsSession(secret string) bool { return strings.HasPrefix(secret, sessionPrefix) }
