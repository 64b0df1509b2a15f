package storetest

import (
	"testing"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/audit"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
)

// callOf returns a call of an instance that changes it so, if its state is as wanted and
// its release is as it was looked up.
func callOf(launch store.Launch, id wire.UUID, want wire.InstanceState, change func(*store.Instance)) store.InstanceCall {
	return store.InstanceCall{
		Nonce: store.Nonce{Hash: Hash(), Expires: time.Now().Add(time.Minute)}, Instance: id, Release: launch.Release.ID,
		Decide: func(f store.InstanceFacts) (store.Instance, audit.Record) {
			denied := func(reason audit.Reason) (store.Instance, audit.Record) {
				return store.Instance{}, audit.Record{Outcome: audit.OutcomeDenied, Reason: reason}
			}
			switch {
			case f.NonceUsed:
				return denied(audit.ReasonNonceUsed)
			case f.Standing == nil || f.Standing.Seen != launch.Seen:
				return denied(audit.ReasonPolicyChanged)
			case f.Instance == nil:
				return denied("instance_unknown")
			case !f.Instance.Enabled || !f.Instance.DeletedAt.IsZero():
				return denied("instance_disabled")
			case f.Instance.State != want:
				return denied("instance_claimed")
			}
			i := *f.Instance
			change(&i)
			return i, audit.Record{Outcome: audit.OutcomeDone, Reason: "instance.test", ImageID: i.Image}
		},
	}
}

// claimCall claims an instance.
func claimCall(launch store.Launch, id wire.UUID, sealed [32]byte) store.InstanceCall {
	return callOf(launch, id, wire.StateNew, func(i *store.Instance) { i.State, i.Sealed = wire.StateClaimed, sealed })
}

// readyCall makes a claimed instance ready.
func readyCall(launch store.Launch, id wire.UUID, generation uint64) store.InstanceCall {
	return callOf(launch, id, wire.StateClaimed, func(i *store.Instance) {
		i.State, i.Generation, i.Recovery = wire.StateReady, generation, []byte("recovery")
		i.Committed = store.Boot{ReportID: Hash(), BootKey: Hash(), Release: launch.Release.ID, Generation: generation}
	})
}

// done has a call recorded that is to succeed.
func done(t *testing.T, s *store.Store, call store.InstanceCall) audit.Entry {
	t.Helper()
	e, err := s.RecordInstanceCall(t.Context(), call)
	if err != nil || e.Outcome != audit.OutcomeDone {
		t.Fatalf("got %+v, %v", e, err)
	}
	return e
}

// makeReady has an instance claimed and made ready, and returns what it is claimed by.
func makeReady(t *testing.T, s *store.Store, launch store.Launch, id wire.UUID, generation uint64) [32]byte {
	t.Helper()
	sealed := Hash()
	done(t, s, claimCall(launch, id, sealed))
	done(t, s, readyCall(launch, id, generation))
	return sealed
}
