package unlock

import (
	"context"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/attest"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/kds"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/snp"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
)

// Launch is what was registered of a launch.
type Launch struct {
	Image           wire.UUID
	ImageEnabled    bool
	Simulated       bool // registered while a simulated AMD was trusted
	Release         wire.UUID
	ReleaseEnabled  bool
	ReleaseProposed bool // not approved yet
	GuestPolicy     uint64
	GuestSVN        uint32
	Measurements    [][48]byte // of the variants
	ImagePolicy     []byte     // report policy, JSON
	ReleasePolicy   []byte     // what the release demands beyond it, JSON; empty for nothing
	UnsealingKey    []byte     // sealed to the ingestion key

	Seen  store.Seen        // how it was read
	Limit store.LaunchLimit // of the image
}

// Launches finds what was registered.
type Launches interface {
	// Launch returns the release of the image with these key digests, or nil
	// when there is none.
	Launch(ctx context.Context, idKey, authorKey [48]byte, release wire.UUID) (*Launch, error)
}

// Record is what is known of a request when it is decided.
type Record struct {
	Time      time.Time
	RequestID string
	Address   string
	Report    []byte
	Image     wire.UUID // zero when it is not known
	Release   wire.UUID // likewise
	ChipID    []byte
	TCB       string // reported

	Denial   *Denial // nil for a grant
	Verified bool    // the report is genuine; otherwise all of it can be made up
	Block    string  // of the caller

	// Nonce is what the request uses up, when it is this service's own and the
	// report genuine, and NonceExpires when it may be forgotten.
	Nonce        []byte
	NonceExpires time.Time

	// ReportID and PublicKey are what a grant uses up.
	ReportID  [snp.ReportIDSize]byte
	PublicKey []byte

	Launch *Launch // that a grant rests on
}

// Recorder makes records durable. It decides what only it can know: whether a nonce
// was used, a launch has had its key, and the release stands as it was looked up.
// All that, and the record, come about together or not at all.
type Recorder interface {
	// Record returns once the record is durable. For a grant that cannot be, it
	// records a denial instead and returns its reason: ReasonNonceUsed,
	// ReasonReportIDReleased, or how the release was changed meanwhile. Otherwise
	// it returns the denial's own reason, ReasonGranted, or ReasonGrantedAgain.
	Record(ctx context.Context, r Record) (Reason, error)
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
