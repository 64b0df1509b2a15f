package registry

import (
	"context"
	"crypto/ed25519"
	"log/slog"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/seal"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/measure"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/access"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/artifact"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/keyring"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
)

// Store keeps images and releases; *store.Store is one.
type Store interface {
	ImageByID(ctx context.Context, id wire.UUID) (store.Image, error)
	ImageByName(ctx context.Context, name string) (store.Image, error)
	ReleaseByID(ctx context.Context, id wire.UUID) (store.Release, error)
	ListReleases(ctx context.Context, image wire.UUID) ([]store.Release, error)

	CreateImage(ctx context.Context, i store.Image, r store.Release, present store.Present) (store.Image, store.Release, error)
	AddRelease(ctx context.Context, image wire.UUID, r store.Release, present store.Present) (store.Release, error)

	RenameImage(ctx context.Context, id wire.UUID, name string) error
	SetImageEnabled(ctx context.Context, id wire.UUID, enabled bool) error
	SetImageLabels(ctx context.Context, id wire.UUID, labels map[string]string) error
	SetLaunchLimit(ctx context.Context, id wire.UUID, limit store.LaunchLimit) error
	UpdateImagePolicy(ctx context.Context, id wire.UUID, policy []byte, revision int64) (int64, error)
	CheckTombstones(ctx context.Context, image wire.UUID, unsealingKeyHash [32]byte) error
	SetKeepReleases(ctx context.Context, id wire.UUID, keep int64) error
	ApproveRelease(ctx context.Context, id wire.UUID, v store.Verdict) error
	RejectRelease(ctx context.Context, id wire.UUID, v store.Verdict) error
	RetireRelease(ctx context.Context, id wire.UUID, v store.Verdict) error
	RestoreRelease(ctx context.Context, id wire.UUID, v store.Verdict) error
	VerifyRelease(ctx context.Context, v store.Verification) error
	Verifications(ctx context.Context, r *store.Release) ([]store.Verification, error)
	SetChannel(ctx context.Context, c store.Channel, previous *store.Target) error
	DeleteChannel(ctx context.Context, name string) error
	Channel(ctx context.Context, name string) (store.Channel, error)
	Channels(ctx context.Context) ([]store.Channel, error)
	ReleaseUse(ctx context.Context, id wire.UUID) (store.ReleaseUse, error)
	UpdateReleasePolicy(ctx context.Context, id wire.UUID, policy []byte, revision int64) (int64, error)

	SetInstanceSettings(ctx context.Context, image wire.UUID, settings wire.InstanceSettings) error
	CreateInstance(ctx context.Context, i store.Instance) (store.Instance, error)
	InstanceByID(ctx context.Context, id wire.UUID) (store.Instance, error)
	SetInstanceEnabled(ctx context.Context, id wire.UUID, enabled bool) error
	ResetInstance(ctx context.Context, id wire.UUID, shareSealed []byte) error
	AdoptInstance(ctx context.Context, id wire.UUID, sealed [32]byte) error
	AllowRestore(ctx context.Context, id wire.UUID, generation uint64) error
	DeleteInstance(ctx context.Context, id wire.UUID) error
	UndeleteInstance(ctx context.Context, id wire.UUID) error

	DeleteImage(ctx context.Context, id wire.UUID) ([][32]byte, error)
	DeleteRelease(ctx context.Context, id wire.UUID) ([][32]byte, error)
	DropArtifact(ctx context.Context, hash [32]byte, remove func(ctx context.Context) error) (bool, error)

	// LockSecret is what keyring.KEK.Check asks.
	LockSecret(ctx context.Context, name string) (sealed []byte, err error)
}

// Limits bound what is uploaded, in bytes.
type Limits struct {
	Firmware, Kernel, Initrd int64

	Uploads int // under way at the same time; each holds one firmware in memory
}

// DefaultLimits returns room for what distributions have. No firmware larger
// than measure.MaxFirmwareSize can be launched, whatever its limit says.
func DefaultLimits() Limits {
	return Limits{Firmware: 64 << 20, Kernel: 256 << 20, Initrd: 1 << 30, Uploads: 4}
}

// maxCmdline is the longest command line in bytes that Linux takes on x86: its
// COMMAND_LINE_SIZE without the NUL. It cuts longer ones.
const maxCmdline = 2047

// Config is what a registry is made of. All of it is needed.
type Config struct {
	Store     Store
	Gate      *access.Gate // checks role and limit, and keeps the records
	Artifacts artifact.Store
	KEK       *keyring.KEK       // seals the images' keys
	Ingestion *seal.PrivateKey   // opens unsealing keys
	Identity  ed25519.PrivateKey // signs bundles
	Limits    Limits
	Simulated bool // a simulated AMD root is trusted
	Log       *slog.Logger
}

// Registry registers images. Its operations ask for the role and the place that they
// need, and leave a record, whoever calls them. Its methods are safe for concurrent use.
type Registry struct {
	Config
	slots chan struct{} // one for each upload
}

// New makes a registry.
func New(cfg Config) *Registry {
	cfg.Limits.Firmware = min(cfg.Limits.Firmware, measure.MaxFirmwareSize)
	return &Registry{cfg, make(chan struct{}, cfg.Limits.Uploads)}
}

// MaxUpload returns how many bytes the files of a registration may have in all.
func (r *Registry) MaxUpload() int64 {
	return r.Limits.Firmware + r.Limits.Kernel + r.Limits.Initrd + maxCmdline + 1 + wire.SealedUnsealingKeySize
}
