package keyring

import (
	"crypto/rand"
	"fmt"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// NewShare makes the service's share of an instance's volume key, and seals it under
// the instance's ID.
func (k *KEK) NewShare(instance wire.UUID) (sealed []byte, err error) {
	share := make([]byte, wire.KeyShareSize)
	rand.Read(share) // never fails, see crypto/rand
	defer clear(share)
	return k.Seal(nameShare(instance), share), nil
}

// OpenShare opens the share of an instance: wire.KeyShareSize bytes. The error wraps
// ErrWrongKEK.
func (k *KEK) OpenShare(instance wire.UUID, sealed []byte) ([]byte, error) {
	share, err := k.Open(nameShare(instance), sealed)
	if err != nil {
		return nil, err
	}
	if len(share) != wire.KeyShareSize {
		clear(share)
		return nil, fmt.Errorf("share of instance %s: %d bytes, want %d", instance, len(share), wire.KeyShareSize)
	}
	return share, nil
}

func nameShare(instance wire.UUID) string { return "instance/" + instance.String() + "/share" }
