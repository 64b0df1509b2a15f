package background

import (
	"context"
	"errors"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/access"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/audit"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
)

// retire retires the releases beyond those that their images keep, each with its
// record. One that a launch has needed meanwhile stays.
func (j *Janitor) retire(ctx context.Context) (retired int, err error) {
	stale, err := j.Store.StaleReleases(ctx)
	if err != nil {
		return 0, err
	}
	var errs []error
	for _, r := range stale {
		_, err := j.Store.Audited(ctx, func(ctx context.Context) (audit.Record, error) {
			return audit.Record{
				Kind: audit.KindAdmin, Outcome: audit.OutcomeDone, Reason: access.RetireRelease.Rule().Reason, Actor: wire.PartyService,
				ImageID: r.Image, ReleaseID: r.Release, Details: map[string]string{"reason": "keep_releases"},
			}, j.Store.RetireStale(ctx, r, store.Verdict{By: wire.PartyService, Reason: "keep_releases"})
		})
		switch {
		case err == nil:
			retired++
		case !errors.Is(err, store.ErrChanged) && !errors.Is(err, store.ErrNotFound):
			errs = append(errs, err)
		}
	}
	return retired, errors.Join(errs...)
}
