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
	GrantSize     = VMKSize + tagSize   // an encrypted volume key, without its encapsulated key
	SealedVMKSize = EncSize + GrantSize // as the disk keeps it
	BootKeySize   = 32                  // Ed25519 public key

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
	tagBootCall     = "snpguard/v1/boot-call"
	tagSelfReport   = "snpguard/v1/self-report"
)

// Call is an attested call of a guest after its unlock. It is the domain tag of the
// call's report data; that of its answer is the same with "-answer" behind it.
type Call string

// The calls. The last three are of an instance's boot, and signed by its boot key.
const (
	CallUpdate  Call = "snpguard/v1/update"
	CallConfirm Call = "snpguard/v1/confirm"
	CallClaim   Call = "snpguard/v1/claim"
	CallReady   Call = "snpguard/v1/ready"
	CallCommit  Call = "snpguard/v1/commit"
)

// Path returns where the call is posted; empty when it is none.
func (c Call) Path() string {
	switch c {
	case CallUpdate:
		return PathUpdate
	case CallConfirm:
		return PathConfirm
	case CallClaim:
		return PathClaim
	case CallReady:
		return PathReady
	case CallCommit:
		return PathCommit
	}
	return ""
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
	BootKey   []byte   // the agent's Ed25519 key of this boot, BootKeySize
	Image     UUID     // the image's
	Instance  UUID     // by HOST_DATA, or zero
	SealedVMK [32]byte // SHA-256 of the sealed VMK
	Disk      [32]byte // InstanceDisk.Hash of what the disk shows of the instance
}

// ReportData returns REPORT_DATA of the report: SHA-512 over the transcript.
func (b UnlockBinding) ReportData() [64]byte {
	return sha512.Sum512(transcript(tagUnlock, b.Nonce, b.PublicKey, b.BootKey, b.Image[:], b.Instance[:], b.SealedVMK[:], b.Disk[:]))
}

// ReportData returns REPORT_DATA of a report that an application asks for with a
// verifier's nonce: SHA-512 over the transcript. Whoever chooses the nonce chooses
// no other transcript by it, so a guest signs nothing but what it was asked.
func ReportData(nonce []byte) [64]byte { return sha512.Sum512(transcript(tagReport, nonce)) }

// SelfReportData returns REPORT_DATA of the report by which a guest learns HOST_DATA of its
// own launch. It is the same for all: such a report answers nobody.
func SelfReportData() [64]byte { return sha512.Sum512(transcript(tagSelfReport)) }

// CallBinding is what a guest commits to by the report of a call.
type CallBinding struct {
	Nonce    []byte // the service's, NonceSize
	Image    UUID
	Instance UUID     // by HOST_DATA, or zero
	Body     [32]byte // SHA-256 of the call's body
}

// ReportData returns REPORT_DATA of the report: SHA-512 over the transcript.
func (b CallBinding) ReportData(call Call) [64]byte {
	return sha512.Sum512(transcript(string(call), b.Nonce, b.Image[:], b.Instance[:], b.Body[:]))
}

// BootCallTranscript returns what the boot key signs: the call with this report data.
func BootCallTranscript(reportData [64]byte) []byte { return transcript(tagBootCall, reportData[:]) }

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

// GrantTranscript returns what the service's identity key signs: that this answer,
// all of it but the signature, belongs to the request with this report data.
func GrantTranscript(reportData [64]byte, g *Grant) []byte {
	return transcript(tagGrant, reportData[:], binary.BigEndian.AppendUint64(nil, uint64(g.Time)), []byte(g.State), g.Instance[:],
		binary.BigEndian.AppendUint64(nil, g.Generation), g.Enc, g.Ciphertext)
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
