package api_test

import (
	"strings"
	"testing"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store/storetest"
)

// TestApproval adds a release to an image of somebody else's with a token of the role
// register: it unlocks nothing until another party of the role approve approves what it
// has seen.
func TestApproval(t *testing.T) {
	w := newWorld(t)
	first := w.registered("a")
	proposed := into[wire.Registered](w.register(w.further(first), "/v1/images/"+first.Image.ID.String()+"/releases").want(201))
	if r := proposed.Release; r.State != wire.StateProposed || r.ApprovedAt != nil || r.ProposedBy == "" || first.Release.State != wire.StateApproved {
		t.Fatalf("registered %+v", r)
	}
	path := releasePath(proposed)
	seen := wire.Approval{ContentHash: proposed.Release.ContentHash}
	for _, role := range []wire.Role{wire.RoleRead, wire.RoleRegister} {
		w.send("POST", path+"/approval", role, seen).problem(wire.CodeForbidden)
	}
	for _, wrong := range []string{"", "00", strings.Repeat("z", 64)} {
		w.send("POST", path+"/approval", wire.RoleApprove, wire.Approval{ContentHash: wrong}).problem(wire.CodeUnprocessable)
	}
	w.send("POST", path+"/approval", wire.RoleApprove, wire.Approval{ContentHash: strings.Repeat("0", 64)}).problem(wire.CodeConflict)
	w.send("PATCH", path, wire.RoleAdmin, wire.ReleasePatch{Policy: []byte(`{"version":1,"min_guest_svn":3}`), Revision: 1}).want(200)
	w.send("POST", path+"/approval", wire.RoleApprove, seen).problem(wire.CodeConflict)
	edited := into[wire.Release](w.get(path, wire.RoleRead).want(200))
	approved := into[wire.Release](w.send("POST", path+"/approval", wire.RoleApprove, wire.Approval{ContentHash: edited.ContentHash}).want(200))
	if approved.State != wire.StateApproved || approved.ApprovedAt == nil || approved.ApprovedBy == "" || approved.ContentHash != edited.ContentHash {
		t.Errorf("approved %+v", approved)
	}
	if r := w.lastAudit(); r.Reason != "release.approved" || r.ReleaseID != approved.ID.String() || r.Details["content_sha256"] != edited.ContentHash ||
		r.Details["proposed_by"] != proposed.Release.ProposedBy {
		t.Errorf("recorded %+v", r)
	}
	w.send("POST", path+"/approval", wire.RoleApprove, wire.Approval{ContentHash: edited.ContentHash}).problem(wire.CodeUnprocessable)
}

// TestOwnProposal has an admin register a release and approve it with the same token,
// and vouch for it.
func TestOwnProposal(t *testing.T) {
	w := newWorld(t)
	first := w.registered("a")
	upload := w.further(first)
	proposed := into[wire.Registered](w.registerAs(wire.RoleAdmin, upload, "/v1/images/"+first.Image.ID.String()+"/releases").want(201))
	path := releasePath(proposed)
	w.send("POST", path+"/approval", wire.RoleAdmin, wire.Approval{ContentHash: proposed.Release.ContentHash}).problem(wire.CodeForbidden)
	if r := w.lastAudit(); r.Reason != "party.refused" || r.Outcome != "denied" || r.Rule != "proposer" || r.ReleaseID != proposed.Release.ID.String() {
		t.Errorf("recorded %+v", r)
	}
	verification := wire.Verification{ContentHash: proposed.Release.ContentHash, Agent: wire.AgentUnchecked, Packages: []string{strings.Repeat("a", 64)}}
	w.send("POST", path+"/verification", wire.RoleAdmin, verification).problem(wire.CodeForbidden)
	if r := into[wire.Release](w.get(path, wire.RoleRead).want(200)); r.State != wire.StateProposed || len(r.Verifications) != 0 {
		t.Errorf("got %+v", r)
	}
	w.send("POST", path+"/verification", wire.RoleRegister, wire.Verification{ContentHash: strings.Repeat("0", 64), Agent: wire.AgentUnchecked}).problem(wire.CodeConflict)
	w.send("POST", path+"/verification", wire.RoleRegister, wire.Verification{ContentHash: verification.ContentHash, Agent: "mine"}).problem(wire.CodeUnprocessable)
	wrong := verification
	wrong.Packages = []string{"package"}
	w.send("POST", path+"/verification", wire.RoleRegister, wrong).problem(wire.CodeUnprocessable)
	verified := into[wire.Release](w.send("POST", path+"/verification", wire.RoleRegister, verification).want(200))
	if v := verified.Verifications; len(v) != 1 || v[0].By == "" || v[0].Agent != wire.AgentUnchecked || len(v[0].Packages) != 1 {
		t.Fatalf("got %+v", v)
	}
	if r := w.lastAudit(); r.Reason != "release.verified" || r.Details["agent"] != wire.AgentUnchecked || r.Details["packages"] != "1" {
		t.Errorf("recorded %+v", r)
	}
	approved := into[wire.Release](w.send("POST", path+"/approval", wire.RoleApprove, wire.Approval{ContentHash: proposed.Release.ContentHash}).want(200))
	if approved.VerifiedBy != verified.Verifications[0].By || w.lastAudit().Details["verified_by"] != approved.VerifiedBy {
		t.Errorf("got %+v", approved)
	}
}

// TestRejectedAgain adds what was rejected once more: only an admin brings it back.
func TestRejectedAgain(t *testing.T) {
	w := newWorld(t)
	first := w.registered("a")
	releases := "/v1/images/" + first.Image.ID.String() + "/releases"
	proposed := into[wire.Registered](w.register(w.further(first), releases).want(201))
	path := releasePath(proposed)
	w.send("POST", path+"/rejection", wire.RoleRegister, wire.Rejection{}).problem(wire.CodeForbidden)
	w.send("POST", path+"/rejection", wire.RoleApprove, wire.Rejection{Reason: strings.Repeat("x", store.MaxReason+1)}).problem(wire.CodeUnprocessable)
	rejected := into[wire.Release](w.send("POST", path+"/rejection", wire.RoleApprove, wire.Rejection{Reason: "unknown kernel"}).want(200))
	if rejected.State != wire.StateRejected || rejected.Reason != "unknown kernel" || rejected.DecidedAt == nil || rejected.DecidedBy == "" {
		t.Errorf("got %+v", rejected)
	}
	if r := w.lastAudit(); r.Reason != "release.rejected" || r.Details["reason"] != "unknown kernel" {
		t.Errorf("recorded %+v", r)
	}
	again := w.further(first).change(func(r *wire.Registration) { r.VCPUs = []int{64} })
	if p := w.register(again, releases).problem(wire.CodeConflict); !strings.Contains(p, "snpguard release restore") {
		t.Errorf("got %q", p)
	}
	w.send("POST", path+"/approval", wire.RoleApprove, wire.Approval{ContentHash: rejected.ContentHash}).problem(wire.CodeUnprocessable)
	w.send("POST", path+"/restoration", wire.RoleApprove, wire.Restoration{}).problem(wire.CodeForbidden)
	restored := into[wire.Release](w.send("POST", path+"/restoration", wire.RoleAdmin, wire.Restoration{}).want(200))
	if restored.State != wire.StateProposed || w.lastAudit().Reason != "release.restored" || w.lastAudit().Details["was"] != "rejected" {
		t.Errorf("got %+v", restored)
	}
}

// TestRetire retires a release that guests have been given keys by, which has to be
// said, and takes it back.
func TestRetire(t *testing.T) {
	w := newWorld(t)
	first := w.registered("a")
	path := releasePath(first)
	if use := into[wire.ReleaseUse](w.get(path+"/use", wire.RoleRead).want(200)); use.GrantedAt != nil || use.Launches != 0 || use.Days != 30 {
		t.Errorf("got %+v", use)
	}
	w.grant(first)
	use := into[wire.ReleaseUse](w.get(path+"/use", wire.RoleRead).want(200))
	if use.GrantedAt == nil || time.Since(*use.GrantedAt) > 365*24*time.Hour || use.Launches != 1 {
		t.Errorf("got %+v", use)
	}
	w.send("POST", path+"/retirement", wire.RoleRegister, wire.Retirement{InUse: true}).problem(wire.CodeForbidden)
	if p := w.send("POST", path+"/retirement", wire.RoleApprove, wire.Retirement{}).problem(wire.CodeUnprocessable); !strings.Contains(p, "launches in the last 30 days: 1;") {
		t.Errorf("got %q", p)
	}
	retired := into[wire.Release](w.send("POST", path+"/retirement", wire.RoleApprove, wire.Retirement{InUse: true, Reason: "old"}).want(200))
	if retired.State != wire.StateRetired || retired.ApprovedAt == nil {
		t.Errorf("got %+v", retired)
	}
	if r := w.lastAudit(); r.Reason != "release.retired" || !strings.Contains(r.Details["in_use"], "launches in the last 30 days: 1;") {
		t.Errorf("recorded %+v", r)
	}
	w.send("POST", path+"/retirement", wire.RoleApprove, wire.Retirement{InUse: true}).problem(wire.CodeUnprocessable)
	restored := into[wire.Release](w.send("POST", path+"/restoration", wire.RoleAdmin, wire.Restoration{}).want(200))
	if restored.State != wire.StateApproved || !restored.ApprovedAt.Equal(*retired.ApprovedAt) {
		t.Errorf("got %+v", restored)
	}
	w.send("POST", path+"/rejection", wire.RoleApprove, wire.Rejection{}).problem(wire.CodeUnprocessable)
}

// Machines count by themselves: what the service knew of their launches may be lost, as
// in a restored database.
func TestRetireWithMachines(t *testing.T) {
	w := newWorld(t)
	first := w.registered("a")
	path := releasePath(first)
	if _, err := w.store.RecordSighting(t.Context(), storetest.Sighting(first.Image.ID, first.Release.ID, 1)); err != nil {
		t.Fatal(err)
	}
	if p := w.send("POST", path+"/retirement", wire.RoleApprove, wire.Retirement{}).problem(wire.CodeUnprocessable); !strings.Contains(p, "last seen: 1") {
		t.Errorf("got %q", p)
	}
	w.send("POST", path+"/retirement", wire.RoleApprove, wire.Retirement{InUse: true}).want(200)
}

// grant gives a launch of a release its key.
func (w *world) grant(r wire.Registered) {
	w.t.Helper()
	image, err := w.store.ImageByID(w.t.Context(), r.Image.ID)
	must(w.t, err)
	launch, err := w.store.FindLaunch(w.t.Context(), image.IDKeyDigest, image.AuthorKeyDigest, r.Release.ID)
	must(w.t, err)
	granted := storetest.GrantedOf(launch)
	granted.Nonce.Expires = w.clock.Now().Add(time.Minute)
	_, err = granted.Write(w.t.Context(), w.store)
	must(w.t, err)
}

func TestProvenance(t *testing.T) {
	w := newWorld(t)
	first := w.registered("a")
	said := wire.Provenance{Packages: []wire.ProvenancePackage{{Name: "linux-image", Version: "6.12", Architecture: "amd64", SHA256: strings.Repeat("a", 64)}}}
	further := w.further(first).change(func(r *wire.Registration) { r.Provenance = &said })
	releases := "/v1/images/" + first.Image.ID.String() + "/releases"
	got := into[wire.Registered](w.register(further, releases).want(201)).Release
	if got.Provenance == nil || len(got.Provenance.Packages) != 1 || got.Provenance.Packages[0] != said.Packages[0] {
		t.Errorf("got %+v", got.Provenance)
	}
	said.Packages = make([]wire.ProvenancePackage, wire.MaxProvenancePackages+1)
	w.register(w.further(first).set("kernel", []byte("third")).change(func(r *wire.Registration) { r.Provenance = &said }), releases).problem(wire.CodeUnprocessable)
	w.register(w.further(first).set("kernel", []byte("third")).change(func(r *wire.Registration) { r.Disabled = true }), releases).problem(wire.CodeUnprocessable)
}
