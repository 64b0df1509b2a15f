package registry

import (
	"encoding/json"
	"fmt"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/size"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/strictjson"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
)

// maxPackages is how many packages a release is said to be made of at most.
const maxPackages = 64

// checkProvenance bounds what a registrant says. Nothing of it is believed: it is
// shown to those who approve. The error is a *RefusedError.
func checkProvenance(p *wire.Provenance) error {
	if p == nil {
		return nil
	}
	if len(p.Packages) > maxPackages {
		return refused("provenance: %d packages exceed the limit of %d", len(p.Packages), maxPackages)
	}
	document, err := json.Marshal(p)
	if err != nil {
		return refused("provenance: %v", err)
	}
	if len(document) > store.MaxBytes {
		return refused("provenance: it is larger than %s", size.Text(store.MaxBytes))
	}
	return nil
}

// Provenance returns where a release comes from, as its registrant says; nil when
// nothing was said.
func Provenance(r store.Release) (*wire.Provenance, error) {
	if len(r.Provenance) == 0 {
		return nil, nil
	}
	var p wire.Provenance
	if err := strictjson.Decode(r.Provenance, &p); err != nil {
		return nil, fmt.Errorf("provenance of release %s: %w: %w", r.ID, store.ErrCorrupt, err)
	}
	return &p, nil
}
