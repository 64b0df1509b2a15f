package unlock

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"sync"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/attest"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/seal"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
)

// maxOpened bounds how many releases are kept open.
const maxOpened = 1024

// openedRelease is a release with its policies parsed and its unsealing key open.
type openedRelease struct {
	policies []*attest.Policy
	key      *seal.PrivateKey
}

// openedReleases keeps releases open, so that an unlock costs no more than it
// must. They are told apart by what was opened: a revision may return after a
// database that lags behind took over.
type openedReleases struct {
	mu       sync.Mutex
	releases map[openedKey]*openedRelease
}

// openedKey is the SHA-256 over what a release was opened from.
type openedKey [sha256.Size]byte

func openedKeyOf(l *store.Launch) openedKey {
	h := sha256.New()
	for _, part := range [][]byte{l.Image.ID[:], l.Image.Policy, l.Release.Policy, l.Image.UnsealingKeySealed} {
		h.Write(binary.BigEndian.AppendUint32(nil, uint32(len(part))))
		h.Write(part)
	}
	return openedKey(h.Sum(nil))
}

// get returns a release, opened.
func (o *openedReleases) get(l *store.Launch, ingestion *seal.PrivateKey) (*openedRelease, error) {
	key := openedKeyOf(l)
	o.mu.Lock()
	opened, found := o.releases[key]
	o.mu.Unlock()
	if found {
		return opened, nil
	}
	opened, err := open(l, ingestion)
	if err != nil {
		return nil, err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.releases == nil || len(o.releases) >= maxOpened {
		o.releases = make(map[openedKey]*openedRelease) // rare, and cheap to fill again
	}
	o.releases[key] = opened
	return opened, nil
}

func open(l *store.Launch, ingestion *seal.PrivateKey) (*openedRelease, error) {
	policies, err := Policies(l.Image.Policy, l.Release.Policy)
	if err != nil {
		return nil, err
	}
	encoded, err := ingestion.Open(wire.UnsealingKeyInfo(l.Image.ID), l.Image.UnsealingKeySealed)
	if err != nil {
		return nil, fmt.Errorf("unsealing key: %w", err)
	}
	defer clear(encoded)
	key, err := seal.ParsePrivateKey(encoded)
	if err != nil {
		return nil, fmt.Errorf("unsealing key: %w", err)
	}
	return &openedRelease{policies, key}, nil
}

// Policies parses the report policies of an image and of a release, each of which a
// report must meet. A release may have none.
func Policies(image, release []byte) ([]*attest.Policy, error) {
	documents := [][]byte{image}
	if len(release) > 0 {
		documents = append(documents, release)
	}
	var policies []*attest.Policy
	for _, document := range documents {
		policy, err := attest.ParsePolicy(document)
		if err != nil {
			return nil, err
		}
		policies = append(policies, policy)
	}
	return policies, nil
}
