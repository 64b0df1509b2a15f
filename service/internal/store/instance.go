package store

import (
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/audit"
)

// Instance is one VM of an image.
type Instance struct {
	ID        wire.UUID
	Image     wire.UUID
	Name      string // unique, wire.CheckInstanceName
	Enabled   bool
	Auto      bool // made by its first launch
	CreatedAt time.Time
	CreatedBy string

	State  wire.InstanceState // new, claimed or ready
	Sealed [32]byte           // SHA-256 of the sealed guest secret that it is claimed by; zeros while new

	// ShareSealed is the service's share of the volume key, sealed under the
	// key-encryption key. Without it nothing opens the instance's disk.
	ShareSealed []byte

	// Recovery is the volume key as the guest encrypted it to the owner's recipients, an
	// age file; empty for none. Lists leave it out. RecoveryHash is its SHA-256, zeros
	// for none; set by the store.
	Recovery     []byte
	RecoveryHash [32]byte

	Granted    Boot   // the latest launch that was given keys; zero for none
	Generation uint64 // the last that was committed; 0 until it is ready
	Committed  Boot   // the launch that committed it; zero for none
	ReadyAt    time.Time

	// Restore is an older generation that one boot may have, until RestoreUntil; 0 for none.
	Restore      uint64
	RestoreUntil time.Time

	DeletedAt time.Time // zero: it is not. A deleted one is as good as disabled
}

// Boot is a launch of an instance.
type Boot struct {
	ReportID   [32]byte
	BootKey    [32]byte // Ed25519
	Release    wire.UUID
	Generation uint64 // that it was granted on: it commits the next one
	At         time.Time
}

// InstanceUse is what a grant does to an instance: its boot becomes the latest.
type InstanceUse struct {
	ID   wire.UUID
	Boot Boot // At is set by the store
}

// InstanceCall is a call of an instance's boot that is to be decided and recorded.
type InstanceCall struct {
	Nonce    Nonce
	Instance wire.UUID
	Release  wire.UUID // of the report, for InstanceFacts.Standing

	// Decide returns the instance as it is from now on, of which the store keeps State,
	// Sealed, Recovery, Generation, Committed, ReadyAt and the restore, and sets those
	// times that are zero; and the record that is written, of OutcomeDone or OutcomeDenied;
	// of a denial (Reason and OutcomeDenied) the instance stays as it was, whatever is
	// returned. It may run more than once.
	Decide func(facts InstanceFacts) (Instance, audit.Record)
}

// InstanceFacts is what the database has about a call, while nobody else changes it.
type InstanceFacts struct {
	NonceUsed bool
	Standing  *Standing // of the release; nil when it was deleted
	Instance  *Instance // with Recovery; nil when there is none, or its share is gone
}
