package unlock

import (
	"crypto/hmac"
	"fmt"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/audit"
)

// Rollback is what became of an unlock whose disk shows an older generation of its
// instance than was committed.
type Rollback string

// What becomes of one.
const (
	RollbackReported Rollback = "reported" // the guest was given its key
	RollbackAllowed  Rollback = "allowed"  // the same, since an operator allowed this generation
	RollbackDenied   Rollback = "denied"
)

// detailRollback is the detail of a grant that says Rollback.
const detailRollback = "rollback"

// generation returns which generation a ready instance boots on, and denies an older
// one where the image says so. It counts what the disk shows with the right MAC.
func (a *attempt) generation(volumeKey []byte, shown []wire.Generation) (uint64, error) {
	var disk uint64
	for _, g := range shown {
		mac, err := wire.GenerationMAC(volumeKey, a.launch.Image.ID, a.instance.ID, g.Number)
		if err != nil {
			return 0, unavailable("check generation", err)
		}
		if hmac.Equal(mac[:], g.MAC) {
			disk = max(disk, g.Number)
		}
	}
	committed := a.instance.Generation
	if disk != committed {
		a.record.Audit = a.record.Audit.WithDetail("generation", fmt.Sprint(disk)).WithDetail("committed", fmt.Sprint(committed))
	}
	if disk >= committed {
		return disk, nil
	}
	switch {
	case a.restoreAllowed(disk):
		a.rollback(RollbackAllowed)
	case a.launch.Image.Instances.Generation == wire.GenerationReport:
		a.rollback(RollbackReported)
	default:
		a.rollback(RollbackDenied)
		return 0, &Denial{
			Reason: audit.ReasonRollback, Rule: "generation",
			Expected: fmt.Sprintf("generation %d or later", committed), Found: fmt.Sprintf("generation %d", disk),
		}
	}
	return committed, nil
}

// restoreAllowed reports whether an operator allowed just this generation. The commit of
// a boot uses that up.
func (a *attempt) restoreAllowed(generation uint64) bool {
	return generation != 0 && generation == a.instance.Restore && a.Now().Before(a.instance.RestoreUntil)
}

func (a *attempt) rollback(what Rollback) {
	a.record.Audit = a.record.Audit.WithDetail(detailRollback, string(what))
}

// reported gives the grant of an older generation that nobody has allowed the reason of the
// denial that it would be elsewhere, so that lists find both.
func reported(record audit.Record) audit.Record {
	if record.Details[detailRollback] == string(RollbackReported) {
		record.Reason = audit.ReasonRollback
	}
	return record
}

// observeRollback counts a rollback, once for a launch.
func (a *attempt) observeRollback(recorded audit.Record) {
	what := Rollback(recorded.Details[detailRollback])
	switch {
	case what == "" || recorded.Retry:
	case recorded.Granted() || recorded.Reason == audit.ReasonRollback:
		a.ObserveRollback(what)
	}
}
