package storetest

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
)

func decisionTests() map[string]func(*testing.T, Database) {
	return map[string]func(*testing.T, Database){
		"approve release":     testApprove,
		"own proposal":        testOwnProposal,
		"decisions":           testDecisions,
		"approve and reject":  testApproveRacesReject,
		"decided comes again": testDecidedAgain,
		"add and reject":      testAddRacesReject,
		"verify release":      testVerifyRelease,
		"release use":         testReleaseUse,
		"release, instances":  testReleaseOfInstances,
		"stale releases":      testStaleReleases,
	}
}

// propose adds a release that is measured as no other of its image.
func propose(t *testing.T, s *store.Store, image wire.UUID, kernel string) store.Release {
	t.Helper()
	added, err := s.AddRelease(t.Context(), image, Release("f", kernel, "i"), Present)
	if err != nil {
		t.Fatal(err)
	}
	return added
}

// verdict returns one of another party than the proposer.
func verdict(r store.Release) store.Verdict {
	return store.Verdict{By: Approver, Content: r.ContentHash(), Reason: "reason"}
}

func release(t *testing.T, s *store.Store, id wire.UUID) store.Release {
	t.Helper()
	r, err := s.ReleaseByID(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// A further release is proposed, until what it holds is approved.
func testApprove(t *testing.T, d Database) {
	s := d.Open(t)
	image, first := create(t, s, Image("image"), Release("f", "k", "i"))
	if first.State != wire.StateApproved || first.ApprovedAt.IsZero() || first.ApprovedBy != Proposer {
		t.Errorf("the first release is %+v", first.Decision)
	}
	approved := Release("f", "k2", "i")
	approved.Decision = first.Decision
	added, err := s.AddRelease(t.Context(), image.ID, approved, Present)
	if err != nil || added.Decision != (store.Decision{State: wire.StateProposed}) {
		t.Fatalf("got %+v, %v", added, err)
	}
	seen := verdict(added)
	if seen.Content == first.ContentHash() {
		t.Error("two releases have one hash")
	}
	if _, err := s.UpdateReleasePolicy(t.Context(), added.ID, []byte(`{"version":1}`), 1); err != nil {
		t.Fatal(err)
	}
	if err := s.ApproveRelease(t.Context(), added.ID, seen); !errors.Is(err, store.ErrChanged) {
		t.Errorf("edited meanwhile: got %v", err)
	}
	edited := release(t, s, added.ID)
	if err := s.ApproveRelease(t.Context(), added.ID, verdict(edited)); err != nil {
		t.Error(err)
	}
	if err := s.ApproveRelease(t.Context(), added.ID, verdict(edited)); !inState(err, wire.StateApproved) {
		t.Errorf("again: got %v", err)
	}
	if err := s.ApproveRelease(t.Context(), wire.NewUUID(), seen); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("unknown: got %v", err)
	}
	now := release(t, s, added.ID)
	if now.State != wire.StateApproved || now.ApprovedBy != Approver || now.ApprovedAt.IsZero() || now.VerifiedBy != "" || now.ContentHash() != edited.ContentHash() {
		t.Errorf("got %+v", now)
	}
}

func inState(err error, state wire.ReleaseState) bool {
	var e *store.StateError
	return errors.As(err, &e) && e.State == state && errors.Is(err, store.ErrChanged)
}

// Whoever proposes approves nothing, and vouches for nothing.
func testOwnProposal(t *testing.T, d Database) {
	s := d.Open(t)
	image, _ := create(t, s, Image("image"), Release("f", "k", "i"))
	proposed := propose(t, s, image.ID, "k2")
	own := verdict(proposed)
	own.By = Proposer
	if err := s.ApproveRelease(t.Context(), proposed.ID, own); !errors.Is(err, store.ErrOwnProposal) {
		t.Errorf("approve: got %v", err)
	}
	verification := store.Verification{Release: proposed.ID, Content: own.Content, By: Proposer, Agent: wire.AgentUnchecked, Packages: []byte("[]")}
	if err := s.VerifyRelease(t.Context(), verification); !errors.Is(err, store.ErrOwnProposal) {
		t.Errorf("verify: got %v", err)
	}
	if got := release(t, s, proposed.ID); got.State != wire.StateProposed {
		t.Errorf("got %+v", got)
	}
	nobody := Release("f", "k3", "i")
	nobody.ProposedBy = ""
	if _, err := s.AddRelease(t.Context(), image.ID, nobody, Present); !errors.Is(err, store.ErrInvalid) {
		t.Errorf("proposed by nobody: got %v", err)
	}
	own.By = ""
	if err := s.ApproveRelease(t.Context(), proposed.ID, own); !errors.Is(err, store.ErrInvalid) {
		t.Errorf("approved by nobody: got %v", err)
	}
}

// Every decision in every state.
func testDecisions(t *testing.T, d Database) {
	s := d.Open(t)
	image, _ := create(t, s, Image("image"), Release("f", "k", "i"))
	decisions := map[string]struct {
		do   func(store.Release) error
		next map[wire.ReleaseState]wire.ReleaseState // what it makes of a state; others refuse it
	}{
		"approve": {
			func(r store.Release) error { return s.ApproveRelease(t.Context(), r.ID, verdict(r)) },
			map[wire.ReleaseState]wire.ReleaseState{wire.StateProposed: wire.StateApproved},
		},
		"reject": {
			func(r store.Release) error { return s.RejectRelease(t.Context(), r.ID, verdict(r)) },
			map[wire.ReleaseState]wire.ReleaseState{wire.StateProposed: wire.StateRejected},
		},
		"retire": {
			func(r store.Release) error { return s.RetireRelease(t.Context(), r.ID, verdict(r)) },
			map[wire.ReleaseState]wire.ReleaseState{wire.StateApproved: wire.StateRetired},
		},
		"restore": {
			func(r store.Release) error { return s.RestoreRelease(t.Context(), r.ID, verdict(r)) },
			map[wire.ReleaseState]wire.ReleaseState{wire.StateRetired: wire.StateApproved, wire.StateRejected: wire.StateProposed},
		},
	}
	ways := map[wire.ReleaseState][]string{
		wire.StateProposed: nil, wire.StateApproved: {"approve"}, wire.StateRejected: {"reject"}, wire.StateRetired: {"approve", "retire"},
	}
	for state, way := range ways {
		for name, decision := range decisions {
			r := propose(t, s, image.ID, "k "+string(state)+name)
			for _, step := range way {
				if err := decisions[step].do(r); err != nil {
					t.Fatalf("%s of %s: %v", step, state, err)
				}
			}
			before := release(t, s, r.ID)
			err := decision.do(r)
			after := release(t, s, r.ID)
			next, may := decision.next[state]
			switch {
			case !may && (!inState(err, state) || after.Decision != before.Decision):
				t.Errorf("%s of %s: got %v, %+v", name, state, err, after.Decision)
			case may && (err != nil || after.State != next):
				t.Errorf("%s of %s: got %v, %+v", name, state, err, after.Decision)
			case may && name != "approve" && (after.DecidedBy != Approver || after.Reason != "reason" || after.DecidedAt.IsZero() || after.ApprovedAt != before.ApprovedAt):
				t.Errorf("%s of %s: got %+v", name, state, after.Decision)
			}
		}
	}
	for name, decision := range decisions {
		if err := decision.do(Release("f", "k", "i")); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("%s of nothing: got %v", name, err)
		}
	}
}

// Of an approval and a rejection at the same time one succeeds, and it stays.
func testApproveRacesReject(t *testing.T, d Database) {
	stores := []*store.Store{d.Open(t), d.Open(t)}
	s := stores[0]
	image, _ := create(t, s, Image("image"), Release("f", "k", "i"))
	for range 5 {
		proposed := propose(t, s, image.ID, wire.NewUUID().String())
		done := succeeding(t, 8, func(i int) error {
			if i < 4 {
				return stores[i%2].ApproveRelease(t.Context(), proposed.ID, verdict(proposed))
			}
			return stores[i%2].RejectRelease(t.Context(), proposed.ID, verdict(proposed))
		})
		want := wire.StateApproved
		if len(done) == 1 && done[0] >= 4 {
			want = wire.StateRejected
		}
		if got := release(t, s, proposed.ID).State; len(done) != 1 || got != want {
			t.Errorf("%d decisions, it is %s, want %s", len(done), got, want)
		}
	}
}

// What was rejected or retired does not come back under another ID, in other sizes or
// with another report policy.
func testDecidedAgain(t *testing.T, d Database) {
	s := d.Open(t)
	image, _ := create(t, s, Image("image"), Release("f", "k", "i"))
	other, _ := create(t, s, Image("other"), Release("f", "k", "i"))
	rejected, retired := propose(t, s, image.ID, "rejected"), propose(t, s, image.ID, "retired")
	must(t, s.RejectRelease(t.Context(), rejected.ID, verdict(rejected)))
	must(t, s.ApproveRelease(t.Context(), retired.ID, verdict(retired)))
	must(t, s.RetireRelease(t.Context(), retired.ID, verdict(retired)))
	for _, r := range []store.Release{rejected, retired} {
		again := r
		again.ID, again.Policy, again.Variants = wire.NewUUID(), []byte(`{"version":1}`), []store.Variant{Variant(64, "EPYC-Genoa")}
		again.Provenance, again.ProposedBy = []byte(`{"packages":null}`), Approver
		_, err := s.AddRelease(t.Context(), image.ID, again, Present)
		var decided *store.DecidedError
		if !errors.As(err, &decided) || decided.ID != r.ID || !errors.Is(err, store.ErrExists) {
			t.Errorf("got %v", err)
		}
		again.Cmdline += " quiet"
		if _, err := s.AddRelease(t.Context(), image.ID, again, Present); err != nil {
			t.Errorf("another command line: %v", err)
		}
		elsewhere := again
		elsewhere.ID, elsewhere.Cmdline = wire.NewUUID(), r.Cmdline
		if _, err := s.AddRelease(t.Context(), other.ID, elsewhere, Present); err != nil {
			t.Errorf("of another image: %v", err)
		}
	}
	must(t, s.RestoreRelease(t.Context(), rejected.ID, verdict(rejected)))
	if got := release(t, s, rejected.ID); got.State != wire.StateProposed {
		t.Errorf("restored: got %+v", got.Decision)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// A release that is added again while it is being rejected is there once at most
// beside the rejected one: those that come after the rejection are refused.
func testAddRacesReject(t *testing.T, d Database) {
	stores := []*store.Store{d.Open(t), d.Open(t)}
	s := stores[0]
	image, _ := create(t, s, Image("image"), Release("f", "k", "i"))
	proposed := propose(t, s, image.ID, "kernel")
	var wg sync.WaitGroup
	for n := range 8 {
		again := Release("f", "kernel", "i")
		wg.Go(func() {
			if _, err := stores[n%2].AddRelease(t.Context(), image.ID, again, Present); err != nil && !errors.Is(err, store.ErrExists) {
				t.Error(err)
			}
		})
	}
	wg.Go(func() {
		if err := stores[1].RejectRelease(t.Context(), proposed.ID, verdict(proposed)); err != nil {
			t.Error(err)
		}
	})
	wg.Wait()
	if _, err := s.AddRelease(t.Context(), image.ID, Release("f", "kernel", "i"), Present); !errors.Is(err, store.ErrExists) {
		t.Errorf("after the rejection: got %v", err)
	}
	all, err := s.ListReleases(t.Context(), image.ID)
	must(t, err)
	decidedAt := release(t, s, proposed.ID).DecidedAt
	for _, r := range all {
		if r.State == wire.StateProposed && r.CreatedAt.After(decidedAt) {
			t.Errorf("added at %s, rejected at %s", r.CreatedAt, decidedAt)
		}
	}
}

func testVerifyRelease(t *testing.T, d Database) {
	s := d.Open(t, store.Options{Now: NewClock(time.Second).Now})
	image, _ := create(t, s, Image("image"), Release("f", "k", "i"))
	proposed := propose(t, s, image.ID, "k2")
	v := store.Verification{Release: proposed.ID, Content: proposed.ContentHash(), By: "token 3 (auditor)", Agent: wire.AgentPublished, Packages: []byte(`["a"]`)}
	wrong := v
	wrong.Content[0] ^= 1
	if err := s.VerifyRelease(t.Context(), wrong); !errors.Is(err, store.ErrChanged) {
		t.Errorf("of other content: got %v", err)
	}
	unknown := v
	unknown.Release = wire.NewUUID()
	if err := s.VerifyRelease(t.Context(), unknown); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("of nothing: got %v", err)
	}
	must(t, s.VerifyRelease(t.Context(), v))
	must(t, s.VerifyRelease(t.Context(), v))
	got, err := s.Verifications(t.Context(), &proposed)
	if err != nil || len(got) != 1 || got[0].By != v.By || got[0].Agent != v.Agent || string(got[0].Packages) != `["a"]` || got[0].At.IsZero() {
		t.Errorf("got %+v, %v", got, err)
	}
	if _, err := s.UpdateReleasePolicy(t.Context(), proposed.ID, []byte(`{"version":1}`), 1); err != nil {
		t.Fatal(err)
	}
	edited := release(t, s, proposed.ID)
	if got, err := s.Verifications(t.Context(), &edited); err != nil || len(got) != 0 {
		t.Errorf("edited: got %+v, %v", got, err)
	}
	must(t, s.ApproveRelease(t.Context(), edited.ID, verdict(edited)))
	if got := release(t, s, edited.ID); got.VerifiedBy != "" {
		t.Errorf("verified before an edit: got %+v", got.Decision)
	}
	another := propose(t, s, image.ID, "k3")
	v.Release, v.Content = another.ID, another.ContentHash()
	must(t, s.VerifyRelease(t.Context(), v))
	must(t, s.ApproveRelease(t.Context(), another.ID, verdict(another)))
	if got := release(t, s, another.ID); got.VerifiedBy != v.By {
		t.Errorf("got %+v", got.Decision)
	}
	d.exec(t, q(`UPDATE verifications SET verified_by = 'token 4 (nobody)'`)...)
	if _, err := s.Verifications(t.Context(), &another); !errors.Is(err, store.ErrTampered) {
		t.Errorf("forged: got %v", err)
	}
	if _, err := s.DeleteRelease(t.Context(), another.ID); err != nil {
		t.Error(err)
	}
}
