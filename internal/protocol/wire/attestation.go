package wire

import (
	"cmp"
	"errors"
	"fmt"
)

// Paths of the attestation API.
const (
	PathChallenge  = "/v1/attestation/challenge"
	PathUnlock     = "/v1/attestation/unlock"
	PathPublicInfo = "/v1/public/info"
)

// Limits of an unlock request, in bytes.
const (
	// MaxCertificates is the largest certificate table that a host may give.
	MaxCertificates = 64 << 10
	// MaxUnlockBody is the largest body: everything in base64, and room.
	MaxUnlockBody = 128 << 10
)

// ErrShape is a message whose fields do not have the sizes that they must.
var ErrShape = errors.New("malformed message")

// Challenge answers POST PathChallenge.
type Challenge struct {
	Nonce     []byte `json:"nonce"`      // NonceSize bytes
	ExpiresIn int    `json:"expires_in"` // in seconds
}

// Validate checks the sizes. The error wraps ErrShape.
func (c *Challenge) Validate() error {
	return checkSize("nonce", c.Nonce, NonceSize)
}

// UnlockRequest is the body of POST PathUnlock.
type UnlockRequest struct {
	Report       []byte `json:"report"`                 // 1184 bytes
	Certificates []byte `json:"certificates,omitempty"` // table of the extended report, when the host gave one
	Nonce        []byte `json:"nonce"`                  // NonceSize bytes
	PublicKey    []byte `json:"public_key"`             // PublicKeySize bytes
	BootKey      []byte `json:"boot_key"`               // Ed25519, BootKeySize bytes: signs every later call of this boot
	SealedVMK    []byte `json:"sealed_vmk"`             // SealedVMKSize bytes

	// Disk is what the disk shows of the instance that HOST_DATA names.
	Disk InstanceDisk `json:"disk,omitzero"`
}

// reportSize is the size of an attestation report (56860 rev. 1.58).
const reportSize = 0x4A0

// Validate checks the sizes. The error wraps ErrShape.
func (r *UnlockRequest) Validate() error {
	if len(r.Certificates) > MaxCertificates {
		return fmt.Errorf("%w: certificates have %d bytes, at most %d are taken", ErrShape, len(r.Certificates), MaxCertificates)
	}
	return cmp.Or(
		checkSize("report", r.Report, reportSize),
		checkSize("nonce", r.Nonce, NonceSize),
		checkSize("public_key", r.PublicKey, PublicKeySize),
		checkSize("boot_key", r.BootKey, BootKeySize),
		checkSize("sealed_vmk", r.SealedVMK, SealedVMKSize),
		r.Disk.validate(),
	)
}

// Grant answers POST PathUnlock: keys, encrypted to the agent's key, and what time it
// is, which a guest could ask of nobody but its host.
//
// Which keys there are depends on the state: without an instance (StateNone) and with a
// new one the golden key, which is the image's VMK; with a claimed one the golden key
// and the instance's volume key; with a ready one the volume key alone. Each has VMKSize
// bytes.
type Grant struct {
	Time       int64         `json:"time"`                // the service's, in milliseconds since 1970, MinTime to MaxTime
	State      InstanceState `json:"state"`               // of the instance
	Instance   UUID          `json:"instance,omitzero"`   // zero with StateNone
	Generation uint64        `json:"generation,omitzero"` // of a ready instance: the next boot has this one and one more
	Enc        []byte        `json:"enc"`                 // EncSize bytes
	Ciphertext []byte        `json:"ciphertext"`          // KeysSize of the state, and 16 bytes
	Signature  []byte        `json:"signature"`           // Ed25519 over GrantTranscript, 64 bytes
}

// MinTime and MaxTime bound a service's time: 2025 to 2200.
const (
	MinTime = 1735689600000
	MaxTime = 7258118400000
)

// Validate checks the time and the sizes. The error wraps ErrShape.
func (g *Grant) Validate() error {
	if g.Time < MinTime || g.Time > MaxTime {
		return fmt.Errorf("%w: time is %d, want %d to %d", ErrShape, g.Time, int64(MinTime), int64(MaxTime))
	}
	switch {
	case g.State.KeysSize() == 0:
		return fmt.Errorf("%w: unknown state %.20q", ErrShape, g.State)
	case (g.State == StateNone) != g.Instance.IsZero():
		return fmt.Errorf("%w: state %s of instance %s", ErrShape, g.State, g.Instance)
	case g.State != StateReady && g.Generation != 0, g.Generation >= MaxGeneration:
		return fmt.Errorf("%w: generation %d in state %s", ErrShape, g.Generation, g.State)
	}
	return cmp.Or(
		checkSize("enc", g.Enc, EncSize),
		checkSize("ciphertext", g.Ciphertext, g.State.KeysSize()+tagSize),
		checkSize("signature", g.Signature, 64),
	)
}

// PublicInfo answers GET PathPublicInfo. All of it is public; a client pins
// what its operator confirmed.
type PublicInfo struct {
	Version                 string `json:"version"`
	CACertificate           string `json:"ca_certificate"`            // PEM; empty when the operator brought a certificate
	CAFingerprint           string `json:"ca_fingerprint"`            // SHA-256 of its DER
	IngestionKey            []byte `json:"ingestion_key"`             // HPKE public key, PublicKeySize bytes
	IngestionKeyFingerprint string `json:"ingestion_key_fingerprint"` // SHA-256 of it
	IdentityKey             []byte `json:"identity_key"`              // Ed25519 public key, 32 bytes
	IdentityKeyFingerprint  string `json:"identity_key_fingerprint"`  // SHA-256 of it
	Simulated               bool   `json:"simulated"`                 // a simulated AMD root is trusted
}

func checkSize(name string, field []byte, want int) error {
	if len(field) != want {
		return fmt.Errorf("%w: %s has %d bytes, want %d", ErrShape, name, len(field), want)
	}
	return nil
}
