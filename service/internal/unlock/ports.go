package unlock

import (
	"context"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/attest"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/kds"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/snp"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/audit"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
)

// Launches finds what was registered; *store.Store does.
type Launches interface {
	// FindLaunch returns the release of the image with these key digests. The error
	// wraps store.ErrNotFound when there is none.
	FindLaunch(ctx context.Context, idKey, authorKey [48]byte, release wire.UUID) (store.Launch, error)
}

// Instances finds the VMs of images; *store.Store does.
type Instances interface {
	// InstanceByID returns an instance, a deleted one too until its share is destroyed.
	// The error wraps store.ErrNotFound when there is none.
	InstanceByID(ctx context.Context, id wire.UUID) (store.Instance, error)

	// EnsureInstance makes an instance, and the record of that, unless there is one with
	// this ID already, and names it. The error wraps store.ErrInstanceLimit or
	// store.ErrDeleted.
	EnsureInstance(ctx context.Context, i store.Instance, record audit.Record) (store.Instance, error)
}

// Shares makes and opens the service's shares of the keys of instances; *keyring.KEK does.
type Shares interface {
	NewShare(instance wire.UUID) (sealed []byte, err error)
	OpenShare(instance wire.UUID, sealed []byte) ([]byte, error)
}

// Log makes records of unlocks durable; *store.Store does.
type Log interface {
	// RecordUnlock has an unlock decided by what the log and the database have, and
	// returns the record of it. All of that comes about together or not at all.
	RecordUnlock(ctx context.Context, unlock store.Unlock) (audit.Entry, error)
}

// Endorser finds certificates for a report and knows which are revoked;
// certchain.Source is one.
type Endorser interface {
	// Chains returns chains that may belong to a report that the asker shows. vek
	// is the certificate that came with it, or nil. A *attest.Refusal says that
	// there is none.
	Chains(ctx context.Context, asker kds.Asker, r *snp.Report, vek []byte) ([]attest.Chain, error)

	// CheckRevocation fails when a certificate of a proven chain is revoked.
	CheckRevocation(ctx context.Context, v *attest.Verified) error
}

// Caller is who asks.
type Caller struct {
	RequestID string
	Address   string
	Block     string // what counts as one address, see limit.Origin
}
