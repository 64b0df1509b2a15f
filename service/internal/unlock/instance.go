package unlock

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/seal"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/audit"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
)

// instanceDenial refuses what a launch says of its instance.
func instanceDenial(reason audit.Reason, expected, found string) *Denial {
	return &Denial{Reason: reason, Rule: "host_data", Expected: expected, Found: found}
}

// NoInstance is the denial of a launch whose HOST_DATA names no instance.
func NoInstance(hostData [wire.HostDataSize]byte) *Denial {
	return instanceDenial(audit.ReasonInstanceRequired, "HOST_DATA of an instance", hex.EncodeToString(hostData[:]))
}

// CheckInstance wants an instance of this image that is given keys; i is nil when there
// is none. The error is a *Denial.
func CheckInstance(i *store.Instance, image wire.UUID) *Denial {
	switch {
	case i == nil:
		return instanceDenial(audit.ReasonInstanceUnknown, "an instance of image "+image.String(), "no such instance")
	case i.Image != image:
		return instanceDenial(audit.ReasonInstanceUnknown, "an instance of image "+image.String(), "an instance of image "+i.Image.String())
	case !i.DeletedAt.IsZero():
		return instanceDenial(audit.ReasonInstanceDisabled, "an enabled instance", "deleted")
	case !i.Enabled:
		return instanceDenial(audit.ReasonInstanceDisabled, "an enabled instance", "disabled")
	}
	return nil
}

// findInstance looks up what HOST_DATA names, if the image has instances. The host
// chooses HOST_DATA, so it selects and proves nothing.
func (a *attempt) findInstance(ctx context.Context) error {
	settings := a.launch.Image.Instances
	if settings.Mode == wire.InstancesNone {
		return nil
	}
	id := wire.HostInstance(a.report.HostData)
	if id.IsZero() {
		return NoInstance(a.report.HostData)
	}
	a.record.Audit.InstanceID = id
	found, err := a.Instances.InstanceByID(ctx, id)
	if errors.Is(err, store.ErrNotFound) && settings.Mode == wire.InstancesAuto {
		found, err = a.makeInstance(ctx, id)
	}
	var denial *Denial
	switch {
	case errors.Is(err, store.ErrNotFound):
		return CheckInstance(nil, a.launch.Image.ID)
	case errors.As(err, &denial):
		return denial
	case err != nil:
		return unavailable("look up instance", err)
	}
	a.instance = &found
	a.record.Audit = a.record.Audit.WithDetail("instance_state", string(found.State))
	if denial := CheckInstance(&found, a.launch.Image.ID); denial != nil {
		return denial
	}
	return nil
}

// makeInstance makes the instance of a launch that named an unknown one.
func (a *attempt) makeInstance(ctx context.Context, id wire.UUID) (store.Instance, error) {
	share, err := a.Shares.NewShare(id)
	if err != nil {
		return store.Instance{}, err
	}
	record := a.record.Audit
	record.Reason = audit.ReasonInstanceMade
	made, err := a.Instances.EnsureInstance(ctx, store.Instance{
		ID: id, Image: a.launch.Image.ID, ShareSealed: share, CreatedBy: wire.PartyService,
	}, record)
	switch {
	case errors.Is(err, store.ErrInstanceLimit):
		return made, instanceDenial(audit.ReasonInstanceLimit, fmt.Sprintf("at most %d instances", a.launch.Image.Instances.Limit), "an unknown instance, and no room")
	case errors.Is(err, store.ErrDeleted):
		return made, instanceDenial(audit.ReasonInstanceDisabled, "an enabled instance", "deleted for good")
	}
	return made, err
}

// granted is what a grant gives, and says of the instance.
type granted struct {
	state      wire.InstanceState
	keys       []byte
	instance   wire.UUID
	generation uint64
}

// keys opens what the state of the instance has the guest be given.
func (a *attempt) keys(request *wire.UnlockRequest) (*granted, error) {
	if a.instance == nil {
		golden, err := a.goldenKey(request.SealedVMK)
		return &granted{state: wire.StateNone, keys: golden}, err
	}
	g := &granted{state: a.instance.State, instance: a.instance.ID}
	switch a.instance.State {
	case wire.StateNew:
		golden, err := a.goldenKey(request.SealedVMK)
		g.keys = golden
		return g, err
	case wire.StateClaimed:
		golden, err := a.goldenKey(request.SealedVMK)
		if err != nil {
			return nil, err
		}
		defer clear(golden)
		volume, err := a.volumeKey(&request.Disk)
		if err != nil {
			return nil, err
		}
		defer clear(volume)
		g.keys = slices.Concat(golden, volume)
		return g, nil
	case wire.StateReady:
		volume, err := a.volumeKey(&request.Disk)
		if err != nil {
			return nil, err
		}
		g.keys = volume
		if g.generation, err = a.generation(volume, request.Disk.Generations); err != nil {
			clear(volume)
			return nil, err
		}
		return g, nil
	}
	return nil, unavailable("decide", fmt.Errorf("instance in state %q", a.instance.State))
}

// goldenKey opens the VMK that the disk of the image keeps.
func (a *attempt) goldenKey(sealed []byte) ([]byte, error) {
	vmk, err := a.release.key.Open(wire.SealedVMKInfo(a.launch.Image.ID), sealed)
	if err != nil {
		return nil, &Denial{Reason: audit.ReasonSealedVMK, Rule: "sealed_vmk", Expected: "a VMK sealed to this release's key", Found: err.Error()}
	}
	return vmk, nil
}

// volumeKey derives the key of the instance from its share and the guest's secret. Only
// the record counts that the instance was claimed by: anyone can seal a secret of their
// own to the image's public key.
func (a *attempt) volumeKey(disk *wire.InstanceDisk) ([]byte, error) {
	at := slices.IndexFunc(disk.Sealed, func(sealed []byte) bool { return sha256.Sum256(sealed) == a.instance.Sealed })
	if at < 0 {
		return nil, &Denial{
			Reason: audit.ReasonInstanceKey, Rule: "instance_record",
			Expected: fmt.Sprintf("a record of SHA-256 %x", a.instance.Sealed), Found: recordsOf(disk),
		}
	}
	secret, err := guestSecret(a.release.key, a.launch.Image.ID, a.instance.ID, disk.Sealed[at])
	if err != nil {
		return nil, err
	}
	defer clear(secret)
	share, err := a.Shares.OpenShare(a.instance.ID, a.instance.ShareSealed)
	if err != nil {
		return nil, unavailable("open share", err)
	}
	defer clear(share)
	key, err := wire.VolumeKey(secret, share, a.launch.Image.ID, a.instance.ID)
	if err != nil {
		return nil, unavailable("derive key", err)
	}
	return key, nil
}

// recordsOf names the records that a disk shows.
func recordsOf(disk *wire.InstanceDisk) string {
	if len(disk.Sealed) == 0 {
		return "no record"
	}
	var hashes []string
	for _, sealed := range disk.Sealed {
		hashes = append(hashes, fmt.Sprintf("%x", sha256.Sum256(sealed)))
	}
	return strings.Join(hashes, " and ")
}

// guestSecret opens what a record keeps. The error is a *Denial.
func guestSecret(key *seal.PrivateKey, image, instance wire.UUID, sealed []byte) ([]byte, error) {
	denial := &Denial{Reason: audit.ReasonInstanceKey, Rule: "instance_record", Expected: "a guest secret sealed for this instance"}
	secret, err := key.Open(wire.GuestSecretInfo(image, instance), sealed)
	switch {
	case err != nil:
		denial.Found = err.Error()
		return nil, denial
	case len(secret) != wire.GuestSecretSize:
		denial.Found = fmt.Sprintf("a secret of %d bytes", len(secret))
		clear(secret)
		return nil, denial
	}
	return secret, nil
}
