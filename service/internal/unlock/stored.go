package unlock

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
)

// Stored finds launches in the service's database and records outcomes there.
type Stored struct{ Store *store.Store }

// Launch implements Launches.
func (s Stored) Launch(ctx context.Context, idKey, authorKey [48]byte, release wire.UUID) (*Launch, error) {
	found, err := s.Store.FindLaunch(ctx, idKey, authorKey, release)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	l := &Launch{
		Image: found.Image.ID, ImageEnabled: found.Image.Enabled, Simulated: found.Image.Simulated,
		Release: found.Release.ID, ReleaseEnabled: found.Release.Enabled, ReleaseProposed: found.Release.Proposed(),
		GuestPolicy: found.Release.GuestPolicy, GuestSVN: found.Release.GuestSVN,
		ImagePolicy: found.Image.Policy, ReleasePolicy: found.Release.Policy, UnsealingKey: found.Image.UnsealingKeySealed,
		Seen: found.Seen, Limit: found.Image.LaunchLimit,
	}
	for _, v := range found.Release.Variants {
		l.Measurements = append(l.Measurements, v.Measurement)
	}
	return l, nil
}

// Record implements Recorder.
func (s Stored) Record(ctx context.Context, r Record) (Reason, error) {
	decision, err := s.Store.RecordUnlock(ctx, r.stored())
	switch {
	case err != nil:
		return "", err
	case decision.Granted && decision.Entry.Retry:
		return ReasonGrantedAgain, nil
	case decision.Granted:
		return ReasonGranted, nil
	}
	return Reason(decision.Entry.Reason), nil
}

// RecordCount implements CountRecorder.
func (s Stored) RecordCount(ctx context.Context, c Count) error {
	_, err := s.Store.RecordUnlock(ctx, store.UnlockRecord{Audit: store.Record{
		Reason: string(c.Reason), Address: c.Block, Count: c.Requests,
		Details: map[string]string{"first": c.First.UTC().Format(time.RFC3339), "last": c.Last.UTC().Format(time.RFC3339)},
	}})
	return err
}

// stored returns the record as the database takes it.
func (r Record) stored() store.UnlockRecord {
	u := store.UnlockRecord{
		Audit: store.Record{
			RequestID: r.RequestID, Address: r.Address, Report: r.Report, TCB: r.TCB,
			ImageID: r.Image, ReleaseID: r.Release, ChipID: r.ChipID,
		},
		NonceUsed: store.Denial{Rule: "nonce", Expected: "a nonce that was not used before", Found: "a used nonce"},
		Released: store.Denial{
			Rule: "report_id", Expected: "a launch that has had no key, or a retry with the same public key",
			Found: "REPORT_ID " + hex.EncodeToString(r.ReportID[:]) + " with another public key",
		},
	}
	if r.Nonce != nil {
		u.Nonce = &store.Nonce{Hash: sha256.Sum256(r.Nonce), Expires: r.NonceExpires}
	}
	if d := r.Denial; d != nil {
		u.Audit.Reason, u.Audit.Rule, u.Audit.Expected, u.Audit.Found = string(d.Reason), d.Rule, d.Expected, d.Found
		return u
	}
	u.Grant = &store.Claim{ReportID: r.ReportID, KeyHash: sha256.Sum256(r.PublicKey), ReleaseID: r.Release, ImageID: r.Image}
	u.Seen, u.Limit = r.Launch.Seen, r.Launch.Limit
	return u
}
