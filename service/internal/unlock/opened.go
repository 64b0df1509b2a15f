package unlock

import (
	"fmt"
	"sync"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attest"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/seal"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/wire"
)

// maxOpened bounds how many releases are kept open.
const maxOpened = 1024

// openedRelease is a release with its policy parsed and its unsealing key open.
type openedRelease struct {
	policy *attest.Policy
	key    *seal.PrivateKey
}

// openedReleases keeps releases open, so that an unlock costs no more than it
// must. A changed policy has another revision and is parsed anew.
type openedReleases struct {
	mu       sync.Mutex
	releases map[openedKey]*openedRelease
}

type openedKey struct {
	release  wire.UUID
	revision int64
}

// get returns a release, opened.
func (o *openedReleases) get(l *Launch, ingestion *seal.PrivateKey) (*openedRelease, error) {
	key := openedKey{l.Release, l.Revision}
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

func open(l *Launch, ingestion *seal.PrivateKey) (*openedRelease, error) {
	policy, err := attest.ParsePolicy(l.Policy)
	if err != nil {
		return nil, err
	}
	encoded, err := ingestion.Open(wire.UnsealingKeyInfo(l.Image), l.UnsealingKey)
	if err != nil {
		return nil, fmt.Errorf("unsealing key: %w", err)
	}
	defer clear(encoded)
	key, err := seal.ParsePrivateKey(encoded)
	if err != nil {
		return nil, fmt.Errorf("unsealing key: %w", err)
	}
	return &openedRelease{policy, key}, nil
}
