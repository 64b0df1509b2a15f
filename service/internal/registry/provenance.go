package registry

import (
	"fmt"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/strictjson"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
)

// checkProvenance wants the shape of what a registrant says. Nothing of it is believed:
// it is shown to those who approve. The error is a *RefusedError.
func checkProvenance(p *wire.Provenance) error {
	if err := p.Check(); err != nil {
		return refused("%v", err)
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
