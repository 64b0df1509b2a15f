package storetest

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/audit"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/unlock"
)

// What an operator changed after the service has decided, and before the grant is
// written, still counts; also for a guest that has had its key.
func testChangedMeanwhile(t *testing.T, d Database) {
	s := d.Open(t)
	for name, tc := range map[string]struct {
		change func(image store.Image, release store.Release) error
		reason audit.Reason
		rule   string
	}{
		"nothing":        {func(store.Image, store.Release) error { return nil }, "", ""},
		"image disabled": {func(i store.Image, _ store.Release) error { return s.SetImageEnabled(t.Context(), i.ID, false) }, "image_disabled", "enabled"},
		"release retired": {func(_ store.Image, r store.Release) error {
			return s.RetireRelease(t.Context(), r.ID, store.Verdict{By: Approver})
		}, "release_retired", "state"},
		"image deleted":   {func(i store.Image, _ store.Release) error { _, err := s.DeleteImage(t.Context(), i.ID); return err }, "launch_unknown", "image_id"},
		"release deleted": {func(_ store.Image, r store.Release) error { _, err := s.DeleteRelease(t.Context(), r.ID); return err }, "launch_unknown", "image_id"},
		"policy": {func(_ store.Image, r store.Release) error {
			_, err := s.UpdateReleasePolicy(t.Context(), r.ID, []byte(`{"vmpl":0}`), 1)
			return err
		}, "policy_changed", "policy_revision"},
		"image's policy": {func(i store.Image, _ store.Release) error {
			_, err := s.UpdateImagePolicy(t.Context(), i.ID, []byte(`{"vmpl":0}`), 1)
			return err
		}, "policy_changed", "policy_revision"},
		"limit": {func(i store.Image, _ store.Release) error {
			return s.SetLaunchLimit(t.Context(), i.ID, store.LaunchLimit{Max: 1, Period: time.Hour})
		}, "policy_changed", "policy_revision"},
	} {
		image, release := create(t, s, Image(name), Release("f", "k", "i"))
		launch := launchOf(t, s, image, release)
		had, asks := GrantedOf(launch), GrantedOf(launch)
		if got := record(t, s, had); !got.Granted() {
			t.Fatalf("%s: at first: got %+v", name, got)
		}
		if err := tc.change(image, release); err != nil {
			t.Fatal(err)
		}
		had.Nonce = GrantedOf(launch).Nonce
		for _, u := range []unlock.Record{asks, had} {
			e := record(t, s, u)
			if (e.Outcome == audit.OutcomeGranted) != (tc.reason == "") || e.Reason != tc.reason || e.Rule != tc.rule {
				t.Errorf("%s: got %+v", name, e)
			}
			if tc.reason != "" && (e.Expected == "" || e.Found == "" || e.Retry) {
				t.Errorf("%s: got %+v", name, e)
			}
		}
	}
}

// Guests unlock on two replicas while an operator disables their image: no grant
// comes after the record of that.
func testDisableRace(t *testing.T, d Database) {
	stores := []*store.Store{d.OpenStanding(t), d.Open(t)}
	image, _ := Standing()
	launch := StandingLaunch(t, stores[0])
	ctx, cancel := context.WithCancel(t.Context())
	granted := make(chan struct{}, 1)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for ctx.Err() == nil {
				decision, err := GrantedOf(launch).Write(ctx, stores[i%2])
				if err != nil && !errors.Is(err, context.Canceled) {
					t.Error(err)
					return
				}
				if decision.Granted() {
					select {
					case granted <- struct{}{}:
					default:
					}
				}
			}
		})
	}
	<-granted
	disabled, err := stores[0].Audited(t.Context(), func(ctx context.Context) (audit.Record, error) {
		return audit.Record{Outcome: audit.OutcomeDone, Reason: "image.disabled"}, stores[0].SetImageEnabled(ctx, image.ID, false)
	})
	if err != nil {
		t.Error(err)
	}
	for range 20 {
		if got := record(t, stores[1], GrantedOf(launch)); got.Granted() {
			t.Errorf("granted after it was disabled: %d", got.Seq)
		}
	}
	cancel()
	wg.Wait()
	found, err := stores[0].ListAudit(t.Context(), store.AuditFilter{Outcome: audit.OutcomeGranted}, store.AuditRange{Limit: 1})
	if err != nil || len(found) != 1 || found[0].Seq > disabled.Seq {
		t.Errorf("the last grant is %+v, %v, disabled in record %d", found, err, disabled.Seq)
	}
}
