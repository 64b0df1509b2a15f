package instancedisk

import "fmt"

// Fields of a receipt (docs/disk-format.md, "Receipt and recovery").
const (
	receiptMagic     = "SNPGRCT\x00"
	receiptSealed    = bodyOffset         // 32 bytes
	receiptSignature = receiptSealed + 32 // 64 bytes
	receiptUnused    = receiptSignature + 64
)

// Receipt is the service's word for it that an instance was claimed with a guest
// secret: by it a service that was restored from an older backup can take the
// instance back.
type Receipt struct {
	Sealed    [32]byte // SHA-256 of the sealed guest secret
	Signature [64]byte // Ed25519 over wire.ReceiptTranscript
}

// EncodeReceipt returns a record of ReceiptSize bytes, a single sector.
func EncodeReceipt(id ID, r Receipt) []byte {
	b := blank(ReceiptSize, receiptMagic, 0, id)
	copy(b[receiptSealed:], r.Sealed[:])
	copy(b[receiptSignature:], r.Signature[:])
	return b
}

// DecodeReceipt is its inverse. The signature is not checked. The error is ErrID or
// ErrForm.
func DecodeReceipt(b []byte, id ID) (Receipt, error) {
	word, err := first(b, ReceiptSize, receiptMagic, id)
	if err != nil {
		return Receipt{}, err
	}
	if word != 0 || !isZero(b[receiptUnused:]) {
		return Receipt{}, fmt.Errorf("%w: what is not used is not zero", ErrForm)
	}
	return Receipt{[32]byte(b[receiptSealed:]), [64]byte(b[receiptSignature:])}, nil
}
