package instance

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"

	"filippo.io/age"

	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/service"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/disk/instancedisk"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/seal"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// errReceipt is a receipt that would help nobody on the day it is needed.
var errReceipt = errors.New("the receipt is not signed by the measured identity key")

// claim binds the instance to the sealed guest secret on this disk, or repeats that for
// the receipt. Two records are left when a cut came between the copies of a first boot
// after a reset, and the service was restored to the day before: it knows which of them
// was claimed, and denies the other.
func (f *First) claim(ctx context.Context) error {
	candidates := f.Shown.Sealed
	if f.Grant.State == wire.StateNew {
		candidates = [][]byte{f.sealed}
	}
	err := errors.New("no record to claim with")
	for _, sealed := range candidates {
		if err = f.claimWith(ctx, sealed); !errors.Is(err, service.ErrDenied) {
			return err
		}
	}
	return err
}

func (f *First) claimWith(ctx context.Context, sealed []byte) error {
	private, err := seal.GenerateKey()
	if err != nil {
		return err
	}
	var answer wire.ClaimAnswer
	made, err := f.Call(ctx, wire.CallClaim, &wire.ClaimRequest{Sealed: sealed, PublicKey: private.Public().Bytes()}, &answer)
	if err != nil {
		return err
	}
	if err := f.check(answer.InstanceAnswer, 0); err != nil {
		return err
	}
	f.sealed, f.volume.Sealed = sealed, sha256.Sum256(sealed)
	if !ed25519.Verify(f.Config.IdentityKey, wire.ReceiptTranscript(f.Config.ImageID, f.Grant.Instance, f.volume.Sealed), answer.Receipt) {
		return errReceipt
	}
	f.receipt = [64]byte(answer.Receipt)
	share, err := private.Open(wire.ShareInfo(made.ReportData), answer.Share)
	if err != nil {
		return fmt.Errorf("open the service's share: %w", err)
	}
	defer clear(share)
	if f.Grant.State == wire.StateClaimed { // by an earlier boot: the secret is sealed, and the key came with the grant
		f.key = bytes.Clone(f.Grant.Volume)
		return nil
	}
	f.key, err = wire.VolumeKey(f.secret, share, f.Config.ImageID, f.Grant.Instance)
	clear(f.secret)
	return err
}

// keepReceipt writes the receipt, by which a service that was restored from an older
// backup takes the instance back.
func (f *First) keepReceipt(context.Context) error {
	receipt := instancedisk.Receipt{Sealed: f.volume.Sealed, Signature: f.receipt}
	return f.write(instancedisk.ReceiptOffset, instancedisk.EncodeReceipt(f.id(), receipt))
}

// keepRecovery encrypts the volume key to the owner's recipients, and keeps that on the
// disk before the golden key stops opening it. The service gets it with ready.
func (f *First) keepRecovery(context.Context) error {
	if len(f.Config.RecoveryRecipients) == 0 {
		return nil
	}
	var err error
	if f.recovery, err = encryptTo(f.Config.RecoveryRecipients, f.key); err != nil {
		return err
	}
	record, err := instancedisk.EncodeRecovery(f.id(), instancedisk.Recovery{Sealed: f.volume.Sealed, Encrypted: f.recovery})
	if err != nil {
		return err
	}
	return f.write(instancedisk.RecoveryOffset, record)
}

// encryptTo returns an age file (age-encryption.org/v1).
func encryptTo(recipients []string, secret []byte) ([]byte, error) {
	var to []age.Recipient
	for i, text := range recipients {
		parsed, err := age.ParseRecipients(bytes.NewReader([]byte(text)))
		if err != nil {
			return nil, fmt.Errorf("measured recovery recipient %d: %w", i+1, err)
		}
		to = append(to, parsed...)
	}
	var out bytes.Buffer
	w, err := age.Encrypt(&out, to...)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(secret); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil { // writes the last chunk
		return nil, err
	}
	return out.Bytes(), nil
}
