package debarchive

import (
	"bytes"
	"crypto"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/clearsign"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

// MessageStart is how an InRelease begins (RFC 9580, section 7).
const MessageStart = "-----BEGIN PGP SIGNED MESSAGE-----"

const armorStart = "-----BEGIN PGP PUBLIC KEY BLOCK-----"

// Keyring is the keys that are trusted to sign.
type Keyring struct{ entities openpgp.EntityList }

// ParseKeyring reads OpenPGP keys, armored or binary, as apt has them in
// /usr/share/keyrings.
func ParseKeyring(data []byte) (*Keyring, error) {
	read := openpgp.ReadKeyRing
	if bytes.HasPrefix(bytes.TrimSpace(data), []byte(armorStart)) {
		read = openpgp.ReadArmoredKeyRing
	}
	entities, err := read(bytes.NewReader(data))
	if err != nil || len(entities) == 0 {
		return nil, fmt.Errorf("want a keyring of OpenPGP keys: %w", errors.Join(err, errEmpty(len(entities))))
	}
	return &Keyring{entities}, nil
}

func errEmpty(n int) error {
	if n > 0 {
		return nil
	}
	return errors.New("it has no keys")
}

// verify returns the text of a cleartext-signed message, only what the signature covers,
// and the fingerprint of the primary key that has signed it. Expired and revoked keys
// count for nothing. The error wraps ErrSignature.
func (k *Keyring) verify(message []byte, now time.Time) (text []byte, signer string, err error) {
	if !bytes.HasPrefix(message, []byte(MessageStart)) {
		return nil, "", fmt.Errorf("%w: want an InRelease, which begins with %q", ErrSignature, MessageStart)
	}
	block, rest := clearsign.Decode(message)
	if block == nil || len(bytes.TrimSpace(rest)) > 0 {
		return nil, "", fmt.Errorf("%w: it is not one signed message and nothing else", ErrSignature)
	}
	signatures, err := splitSignatures(io.LimitReader(block.ArmoredSignature.Body, maxSignature))
	if err != nil {
		return nil, "", fmt.Errorf("%w: %w", ErrSignature, err)
	}
	config := &packet.Config{Time: func() time.Time { return now }}
	var problems []string
	for _, s := range signatures { // archives sign with the old key and the new one
		entity, err := openpgp.CheckDetachedSignature(k.entities, bytes.NewReader(block.Bytes), bytes.NewReader(s), config)
		if err == nil {
			return block.Plaintext, strings.ToUpper(hex.EncodeToString(entity.PrimaryKey.Fingerprint)), nil
		}
		problems = append(problems, strings.TrimPrefix(err.Error(), "openpgp: "))
	}
	return nil, "", fmt.Errorf("%w: %s", ErrSignature, strings.Join(problems, "; "))
}

// splitSignatures returns each signature packet by itself.
func splitSignatures(r io.Reader) (all [][]byte, err error) {
	for packets := packet.NewReader(r); ; {
		p, err := packets.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		s, ok := p.(*packet.Signature)
		if !ok || len(all) == maxSigners {
			return nil, fmt.Errorf("want at most %d signatures and nothing else", maxSigners)
		}
		if s.Hash == crypto.SHA1 || s.Hash == crypto.MD5 {
			continue // forged for some years now
		}
		var b bytes.Buffer
		if err := s.Serialize(&b); err != nil {
			return nil, err
		}
		all = append(all, b.Bytes())
	}
	if len(all) == 0 {
		return nil, errors.New("it has no signature that counts")
	}
	return all, nil
}
