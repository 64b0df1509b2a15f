package api_test

import (
	"strings"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// TestChannels makes a channel, moves it by compare-and-set, and follows it through
// the life of its release.
func TestChannels(t *testing.T) {
	w := newWorld(t)
	a, b := w.registered("a"), w.registered("b")
	const path = "/v1/channels/debian-13/stable"
	newest := wire.ChannelTarget{ImageID: a.Image.ID}
	w.send("PUT", path, wire.RoleRegister, wire.ChannelChange{Target: newest}).problem(wire.CodeForbidden)
	for _, name := range []string{"debian-13/Stable", "-a/b", "a/" + strings.Repeat("b", 64), "a/%20b", "a/.b"} {
		w.send("PUT", "/v1/channels/"+name, wire.RoleApprove, wire.ChannelChange{Target: newest}).problem(wire.CodeUnprocessable)
	}
	w.send("PUT", path, wire.RoleApprove, wire.ChannelChange{}).problem(wire.CodeNotFound)
	made := into[wire.Channel](w.send("PUT", path, wire.RoleApprove, wire.ChannelChange{Target: newest}).want(200))
	if made.Name != "debian-13/stable" || made.ImageID != a.Image.ID || made.ReleaseID != nil || made.InForce == nil || *made.InForce != a.Release.ID || made.ChangedBy == "" {
		t.Errorf("got %+v", made)
	}
	if r := w.lastAudit(); r.Reason != "channel.set" || r.Details["channel"] != "debian-13/stable" || r.ImageID != a.Image.ID.String() {
		t.Errorf("recorded %+v", r)
	}
	pinned := wire.ChannelTarget{ImageID: b.Image.ID, ReleaseID: &b.Release.ID}
	w.send("PUT", path, wire.RoleApprove, wire.ChannelChange{Target: pinned}).problem(wire.CodeConflict)
	w.send("PUT", path, wire.RoleApprove, wire.ChannelChange{Target: pinned, Previous: &pinned}).problem(wire.CodeConflict)
	moved := into[wire.Channel](w.send("PUT", path, wire.RoleApprove, wire.ChannelChange{Target: pinned, Previous: &newest}).want(200))
	if moved.ImageID != b.Image.ID || moved.ReleaseID == nil || *moved.ReleaseID != b.Release.ID {
		t.Errorf("got %+v", moved)
	}
	if r := w.lastAudit(); r.Details["previous_image"] != a.Image.ID.String() || r.ReleaseID != b.Release.ID.String() {
		t.Errorf("recorded %+v", r)
	}
	if p := w.send("DELETE", releasePath(b), wire.RoleAdmin, nil).problem(wire.CodeConflict); !strings.Contains(p, "channel debian-13/stable names it") {
		t.Errorf("got %q", p)
	}
	w.send("POST", releasePath(b)+"/retirement", wire.RoleApprove, wire.Retirement{}).want(200)
	list := into[wire.ChannelList](w.get("/v1/channels", wire.RoleRead).want(200))
	if len(list.Channels) != 1 || list.Channels[0].InForce != nil {
		t.Errorf("its release is retired: got %+v", list)
	}
	retired := wire.ChannelTarget{ImageID: b.Image.ID, ReleaseID: &b.Release.ID}
	w.send("PUT", "/v1/channels/debian-13/old", wire.RoleApprove, wire.ChannelChange{Target: retired}).problem(wire.CodeUnprocessable)
	w.send("DELETE", path, wire.RoleRegister, nil).problem(wire.CodeForbidden)
	w.send("DELETE", path, wire.RoleApprove, nil).want(204)
	if r := w.lastAudit(); r.Reason != "channel.deleted" || r.Details["channel"] != "debian-13/stable" {
		t.Errorf("recorded %+v", r)
	}
	w.get(path, wire.RoleRead).problem(wire.CodeNotFound)
	w.send("DELETE", path, wire.RoleApprove, nil).problem(wire.CodeNotFound)
}
