package convert

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"

	"filippo.io/age"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/seal"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// keys are what protects one image. The VMK lives in memory alone; everything
// else is sealed or public.
type keys struct {
	image        wire.UUID
	vmk          []byte // wire.VMKSize bytes
	sealedVMK    []byte // to the unsealing key, wire.SealedVMKSize bytes
	unsealingKey []byte // to the service's ingestion key, wire.SealedUnsealingKeySize bytes
	public       []byte // of the unsealing key, wire.PublicKeySize bytes
	commitment   string // wire.VMKCommitment in hexadecimal
}

// newKeys makes the keys of a new image. The private unsealing key is gone when
// it returns: only the service can open what it was sealed to.
func newKeys(ingestion *seal.PublicKey) (*keys, error) {
	k := &keys{image: wire.NewUUID(), vmk: make([]byte, wire.VMKSize)}
	rand.Read(k.vmk)
	unsealing, err := seal.GenerateKey()
	if err != nil {
		return nil, fmt.Errorf("make unsealing key: %w", err)
	}
	private, err := unsealing.Bytes()
	if err != nil {
		return nil, fmt.Errorf("make unsealing key: %w", err)
	}
	defer clear(private)
	if k.sealedVMK, err = unsealing.Public().Seal(wire.SealedVMKInfo(k.image), k.vmk); err != nil {
		return nil, fmt.Errorf("seal VMK: %w", err)
	}
	if k.unsealingKey, err = ingestion.Seal(wire.UnsealingKeyInfo(k.image), private); err != nil {
		return nil, fmt.Errorf("seal unsealing key: %w", err)
	}
	k.public = unsealing.Public().Bytes()
	commitment := wire.VMKCommitment(k.image, k.vmk)
	k.commitment = hex.EncodeToString(commitment[:])
	return k, nil
}

// wipe forgets the VMK.
func (k *keys) wipe() { clear(k.vmk) }

// recover encrypts the VMK to the owner's age recipients.
func (k *keys) recover(w io.Writer, recipients []age.Recipient) error {
	encrypted, err := age.Encrypt(w, recipients...)
	if err != nil {
		return fmt.Errorf("encrypt VMK for recovery: %w", err)
	}
	if _, err := encrypted.Write(k.vmk); err != nil {
		return fmt.Errorf("encrypt VMK for recovery: %w", err)
	}
	return encrypted.Close()
}
