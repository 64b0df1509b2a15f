package instancedisk

import "fmt"

// Fields of a recovery record (docs/disk-format.md, "Receipt and recovery").
const (
	recoveryMagic   = "SNPGRCV\x00"
	recoverySealed  = bodyOffset // 32 bytes
	recoveryContent = recoverySealed + 32 + checksumSize
)

// MaxEncrypted is the most that a recovery record holds, in bytes: about 70 of age's
// hybrid recipients, or 600 of its others.
const MaxEncrypted = RecoverySize - recoveryContent

// Recovery is the volume key for the owner, who may have lost the service.
type Recovery struct {
	Sealed    [32]byte // SHA-256 of the sealed guest secret that the volume key comes of
	Encrypted []byte   // the volume key, as an age file
}

// EncodeRecovery returns a record of RecoverySize bytes. It fails when the encrypted
// key has not 1 to MaxEncrypted bytes.
func EncodeRecovery(id ID, r Recovery) ([]byte, error) {
	if len(r.Encrypted) == 0 || len(r.Encrypted) > MaxEncrypted {
		return nil, fmt.Errorf("encode recovery record: encrypted key of %d bytes, want 1 to %d", len(r.Encrypted), MaxEncrypted)
	}
	b := blank(RecoverySize, recoveryMagic, uint32(len(r.Encrypted)), id)
	copy(b[recoverySealed:], r.Sealed[:])
	return withContent(b, recoveryContent, r.Encrypted), nil
}

// DecodeRecovery is its inverse. The error is ErrID or ErrForm.
func DecodeRecovery(b []byte, id ID) (Recovery, error) {
	length, err := first(b, RecoverySize, recoveryMagic, id)
	if err != nil {
		return Recovery{}, err
	}
	encrypted, err := content(b, recoveryContent, length)
	if err != nil {
		return Recovery{}, err
	}
	return Recovery{[32]byte(b[recoverySealed:]), encrypted}, nil
}
