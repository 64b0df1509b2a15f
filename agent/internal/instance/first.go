package instance

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/reencrypt"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/disk/luks2"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// First is a boot of a new or claimed instance.
type First struct {
	Boot
	Size int64 // of the root partition in bytes, as the kernel knows it

	// Pause stops the deadline of the boot until resume is called, unless alive is not
	// called for as long as stuck.
	Pause func(stuck time.Duration) (alive, resume func())

	volume     reencrypt.Volume
	secret     []byte // the guest's, in state new
	sealed     []byte // by which the instance is claimed
	key        []byte // the volume key
	recovery   []byte // the same for the owner; nil without recipients
	receipt    [64]byte
	generation uint64
}

// step is a part of a first boot, and what it says when it fails.
type step struct {
	what string
	do   func(context.Context) error
}

// steps are those of a state, in their order. What is durable after a step stays so:
// whatever a later boot repeats of it, it finds in one of the two states.
func (f *First) steps() []step {
	claiming := []step{
		{"look for the golden file system", f.checkGolden},
		{"make the guest secret", f.makeSecret},
		{"write the instance record", f.writeRecords},
		{"begin the journal", f.begin},
	}
	claimed := []step{
		{"claim the instance", f.claim},
		{"keep the receipt", f.keepReceipt},
		{"keep the key for recovery", f.keepRecovery},
		{"re-encrypt the root", f.reencrypt},
		{"write the LUKS2 headers", f.writeHeaders},
		{"write the generation", f.raise},
		{"make the instance ready", f.ready},
	}
	if f.Grant.State == wire.StateNew {
		return append(claiming, claimed...)
	}
	return claimed
}

// Run does all steps. The volume key is the caller's to wipe.
func (f *First) Run(ctx context.Context) (volumeKey []byte, generation uint64, err error) {
	defer func() { clear(f.secret) }()
	if err := f.prepare(); err != nil {
		return nil, 0, err
	}
	f.Log("instance %s is %s", f.Grant.Instance, f.Grant.State)
	for _, s := range f.steps() {
		if err := s.do(ctx); err != nil {
			clear(f.key)
			return nil, 0, fmt.Errorf("%s: %w", s.what, err)
		}
	}
	f.Log("instance %s is ready, generation %d", f.Grant.Instance, f.generation)
	return f.key, f.generation, nil
}

// errLayout is a configuration for a disk that LUKS2 headers of ours do not describe.
var errLayout = errors.New("the measured layout of the root is not one of an instance")

// prepare takes the shape of the disk from the measured configuration and the kernel.
func (f *First) prepare() error {
	r := f.Config.Root
	if f.Grant.State != wire.StateNew && f.Grant.State != wire.StateClaimed {
		return fmt.Errorf("first boot of an instance in state %s", f.Grant.State)
	}
	payload := f.Size - r.PayloadOffset
	if r.PayloadOffset != luks2.PayloadOffset || payload < int64(r.SectorSize) {
		return fmt.Errorf("%w: payload at %d of %d bytes", errLayout, r.PayloadOffset, f.Size)
	}
	f.volume = reencrypt.Volume{
		Device: f.Device, PayloadOffset: r.PayloadOffset, PayloadSize: payload - payload%int64(r.SectorSize),
		SectorSize: r.SectorSize, Image: f.Config.ImageID, Instance: f.Grant.Instance,
	}
	return nil
}
