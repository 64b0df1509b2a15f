package wire

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
)

// Paths of the calls of an instance's boot.
const (
	PathClaim  = "/v1/attestation/claim"
	PathReady  = "/v1/attestation/ready"
	PathCommit = "/v1/attestation/commit"
)

// Bounds of the calls of an instance's boot, in bytes.
const (
	MaxRecovery     = 128 << 10         // of ReadyRequest.Recovery
	MaxBootCallBody = 192 << 10         // of a BootCall's body: a recovery in base64, and room
	MaxBootCall     = MaxUnlockBody * 3 // of a BootCall: its body in base64, certificates, and room
)

// MaxGeneration is above every generation of an instance.
const MaxGeneration = 1 << 62

// InstanceState is how far an instance is.
type InstanceState string

// The states.
const (
	StateNone    InstanceState = "none"    // the image has no instances
	StateNew     InstanceState = "new"     // its disk is the golden one, under the golden key
	StateClaimed InstanceState = "claimed" // by the hash of a sealed guest secret; its disk is being re-encrypted
	StateReady   InstanceState = "ready"   // its disk is under its volume key
)

// KeysSize returns how many bytes of keys a grant has in this state; 0 for an unknown one.
func (s InstanceState) KeysSize() int {
	switch s {
	case StateNone, StateNew, StateReady:
		return VMKSize
	case StateClaimed:
		return 2 * VMKSize
	}
	return 0
}

// InstanceDisk is what the disk of an instance shows: what the host left there, or an
// earlier boot.
type InstanceDisk struct {
	Sealed      [][]byte     `json:"sealed,omitempty"`      // sealed guest secrets of its records, 2 at most, each once
	Generations []Generation `json:"generations,omitempty"` // of both places, 2 at most
}

// Generation is a number that each boot of an instance raises, and GenerationMAC over it.
type Generation struct {
	Number uint64 `json:"number"` // 1 to MaxGeneration, exclusive
	MAC    []byte `json:"mac"`    // MACSize bytes
}

// IsZero reports whether the disk shows nothing of an instance.
func (d InstanceDisk) IsZero() bool { return len(d.Sealed) == 0 && len(d.Generations) == 0 }

// Hash is the SHA-256 over all of it, for UnlockBinding.
func (d *InstanceDisk) Hash() [32]byte {
	fields := [][]byte{{byte(len(d.Sealed))}}
	fields = append(fields, d.Sealed...)
	for _, g := range d.Generations {
		fields = append(fields, binary.BigEndian.AppendUint64(nil, g.Number), g.MAC)
	}
	return sha256.Sum256(transcript(tagInstanceDisk, fields...))
}

func (d *InstanceDisk) validate() error {
	if len(d.Sealed) > 2 || len(d.Generations) > 2 {
		return fmt.Errorf("%w: %d records and %d generations, at most 2 are taken", ErrShape, len(d.Sealed), len(d.Generations))
	}
	for _, s := range d.Sealed {
		if err := checkSize("sealed", s, SealedGuestSecretSize); err != nil {
			return err
		}
	}
	if len(d.Sealed) == 2 && bytes.Equal(d.Sealed[0], d.Sealed[1]) {
		return fmt.Errorf("%w: the same record twice", ErrShape)
	}
	for _, g := range d.Generations {
		if err := cmp.Or(checkGeneration(g.Number), checkSize("mac", g.MAC, MACSize)); err != nil {
			return err
		}
	}
	return nil
}

func checkGeneration(n uint64) error {
	if n == 0 || n >= MaxGeneration {
		return fmt.Errorf("%w: generation %d", ErrShape, n)
	}
	return nil
}

// BootCall is a call of an instance's boot: a GuestCall with a BootSignature, and with room
// in its body. The report's REPORT_ID and the boot key must be those of the instance's
// latest grant.
type BootCall struct{ GuestCall }

// Validate checks the sizes. The error wraps ErrShape.
func (c *BootCall) Validate() error {
	return cmp.Or(c.validate(MaxBootCallBody), checkSize("boot_signature", c.BootSignature, 64))
}

// ClaimRequest is the body of the call to PathClaim: the instance becomes claimed by the
// SHA-256 of this sealed guest secret, which the disk has kept already.
type ClaimRequest struct {
	Sealed    []byte `json:"sealed"`     // SealedGuestSecretSize bytes
	PublicKey []byte `json:"public_key"` // that the share is sealed to, PublicKeySize bytes
}

// Validate checks the sizes. The error wraps ErrShape.
func (r *ClaimRequest) Validate() error {
	return cmp.Or(checkSize("sealed", r.Sealed, SealedGuestSecretSize), checkSize("public_key", r.PublicKey, PublicKeySize))
}

// ClaimAnswer is the answer's body of the call to PathClaim.
type ClaimAnswer struct {
	InstanceAnswer
	Share   []byte `json:"share"`   // the service's share of the key, sealed with ShareInfo: SealedShareSize bytes
	Receipt []byte `json:"receipt"` // Ed25519 over ReceiptTranscript, 64 bytes
}

// SealedShareSize is a share, sealed to a boot's key, in bytes.
const SealedShareSize = EncSize + KeyShareSize + tagSize

// Validate checks every field. The error wraps ErrShape.
func (a *ClaimAnswer) Validate() error {
	return cmp.Or(a.validate(StateClaimed), checkSize("share", a.Share, SealedShareSize), checkSize("receipt", a.Receipt, 64))
}

// ReadyRequest is the body of the call to PathReady: the disk is under the volume key,
// and all of that durable.
type ReadyRequest struct {
	Sealed     []byte `json:"sealed"`             // SHA-256 of the sealed guest secret, 32 bytes
	Generation uint64 `json:"generation"`         // that the disk has: 1, or more when the service forgot that it was ready
	Recovery   []byte `json:"recovery,omitempty"` // the volume key, encrypted to the owner's recipients: an age file
}

// Validate checks every field. The error wraps ErrShape.
func (r *ReadyRequest) Validate() error {
	if len(r.Recovery) > MaxRecovery {
		return fmt.Errorf("%w: recovery has %d bytes, at most %d are taken", ErrShape, len(r.Recovery), MaxRecovery)
	}
	return cmp.Or(checkSize("sealed", r.Sealed, sha256.Size), checkGeneration(r.Generation))
}

// CommitRequest is the body of the call to PathCommit: the disk has this generation.
type CommitRequest struct {
	Generation uint64 `json:"generation"` // that of the grant, and one more
}

// Validate checks the field. The error wraps ErrShape.
func (r *CommitRequest) Validate() error { return checkGeneration(r.Generation) }

// InstanceAnswer is the answer's body of the calls to PathReady and PathCommit: how the
// instance stands after the call.
type InstanceAnswer struct {
	Instance   UUID          `json:"instance"`
	State      InstanceState `json:"state"`
	Generation uint64        `json:"generation"` // 0 until it is ready
}

// Validate wants a ready instance. The error wraps ErrShape.
func (a *InstanceAnswer) Validate() error { return a.validate(StateReady) }

func (a *InstanceAnswer) validate(state InstanceState) error {
	if a.State != state || a.Instance.IsZero() || (a.Generation == 0) != (state == StateClaimed) || a.Generation >= MaxGeneration {
		return fmt.Errorf("%w: state %.20q of instance %s, generation %d", ErrShape, a.State, a.Instance, a.Generation)
	}
	return nil
}
