package wire

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
)

// Sizes in bytes.
const (
	NonceSize     = 64 // of a challenge
	VMKSize       = 64 // of the volume master key, two AES-256 keys for XTS
	PublicKeySize = 1216
	EncSize       = 1120                // an encapsulated key of MLKEM768-X25519
	tagSize       = 16                  // what AES-256-GCM adds
	GrantSize     = VMKSize + tagSize   // an encrypted VMK, without its encapsulated key
	SealedVMKSize = EncSize + GrantSize // as the disk keeps it

	// SealedUnsealingKeySize is an unsealing private key of 32 bytes, sealed
	// to a service's ingestion key.
	SealedUnsealingKeySize = EncSize + 32 + tagSize
)

// Domain tags. Each use of a hash, a signature or HPKE has one of its own, so
// that nothing made for one can pass for another.
const (
	tagUnlock       = "snpguard/v1/unlock"
	tagReport       = "snpguard/v1/report"
	tagGrant        = "snpguard/v1/grant"
	tagGrantInfo    = "snpguard/v1/grant-info"
	tagCommitment   = "snpguard/v1/vmk-commitment"
	tagSealedVMK    = "snpguard/v1/sealed-vmk"
	tagUnsealingKey = "snpguard/v1/unsealing-key"
	tagMachine      = "snpguard/v1/machine"
)

// Call is an attested call of a running guest. It is the domain tag of the call's
// report data; that of its answer is the same with "-answer" behind it.
type Call string

// The calls.
const (
	CallUpdate  Call = "snpguard/v1/update"
	CallConfirm Call = "snpguard/v1/confirm"
)

// Path returns where the call is posted.
func (c Call) Path() string {
	if c == CallConfirm {
		return PathConfirm
	}
	return PathUpdate
}

// transcript encodes a domain tag and fields so that different lists never give
// the same bytes: each is preceded by its length, 32 bits, big-endian.
func transcript(tag string, fields ...[]byte) []byte {
	var out []byte
	for _, field := range append([][]byte{[]byte(tag)}, fields...) {
		out = binary.BigEndian.AppendUint32(out, uint32(len(field)))
		out = append(out, field...)
	}
	return out
}

// UnlockBinding is what an unlock request commits to by its report.
type UnlockBinding struct {
	Nonce     []byte   // the service's, NonceSize
	PublicKey []byte   // the agent's ephemeral HPKE key, PublicKeySize
	Image     UUID     // the image's
	SealedVMK [32]byte // SHA-256 of the sealed VMK
}

// ReportData returns REPORT_DATA of the report: SHA-512 over the transcript.
func (b UnlockBinding) ReportData() [64]byte {
	return sha512.Sum512(transcript(tagUnlock, b.Nonce, b.PublicKey, b.Image[:], b.SealedVMK[:]))
}

// ReportData returns REPORT_DATA of a report that an application asks for with a
// verifier's nonce: SHA-512 over the transcript. Whoever chooses the nonce chooses
// no other transcript by it, so a guest signs nothing but what it was asked.
func ReportData(nonce []byte) [64]byte { return sha512.Sum512(transcript(tagReport, nonce)) }

// CallBinding is what a running guest commits to by the report of a call.
type CallBinding struct {
	Nonce []byte // the service's, NonceSize
	Image UUID
	Body  [32]byte // SHA-256 of the call's body
}

// ReportData returns REPORT_DATA of the report: SHA-512 over the transcript.
func (b CallBinding) ReportData(call Call) [64]byte {
	return sha512.Sum512(transcript(string(call), b.Nonce, b.Image[:], b.Body[:]))
}

// AnswerTranscript returns what the service's identity key signs: that this body
// answers the call with this report data.
func AnswerTranscript(call Call, reportData [64]byte, body []byte) []byte {
	return transcript(string(call)+"-answer", reportData[:], body)
}

// MachineID returns how the service knows a machine: the first 16 bytes of SHA-256
// over image and machine-id (32 hexadecimal digits), which itself should not leave
// the machine (machine-id(5)).
func MachineID(image UUID, machineID string) UUID {
	sum := sha256.Sum256(transcript(tagMachine, image[:], []byte(machineID)))
	return UUID(sum[:16])
}

// GrantTranscript returns what the service's identity key signs: that this
// answer belongs to the request with this report data. time is in milliseconds
// since 1970.
func GrantTranscript(reportData [64]byte, time int64, enc, ciphertext []byte) []byte {
	return transcript(tagGrant, reportData[:], binary.BigEndian.AppendUint64(nil, uint64(time)), enc, ciphertext)
}

// GrantInfo is HPKE's info for the VMK on its way to the agent.
func GrantInfo(reportData [64]byte) []byte { return transcript(tagGrantInfo, reportData[:]) }

// SealedVMKInfo is HPKE's info for the VMK that the disk keeps.
func SealedVMKInfo(image UUID) []byte { return transcript(tagSealedVMK, image[:]) }

// UnsealingKeyInfo is HPKE's info for the unsealing private key on its way to
// the service.
func UnsealingKeyInfo(image UUID) []byte { return transcript(tagUnsealingKey, image[:]) }

// VMKCommitment is the hash by which the measured initrd knows the VMK.
func VMKCommitment(image UUID, vmk []byte) [32]byte {
	return sha256.Sum256(transcript(tagCommitment, image[:], vmk))
}
