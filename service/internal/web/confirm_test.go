package web

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/audit"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store/storetest"
)

// TestAskedFirst presses each button that cuts off guests or programs, or lets guests
// in. Nothing is changed before the question was answered, whether there is a script
// or not.
func TestAskedFirst(t *testing.T) {
	w := newWorld(t, storetest.SQLite(t))
	image, release := w.image("payments")
	token, err := w.store.CreateToken(t.Context(), store.Token{ID: wire.NewUUID(), Name: "packer", Role: string(wire.RoleRead), Hash: [32]byte{1}, ExpiresAt: time.Now().Add(time.Hour)})
	must(t, err)
	further := storetest.Release("f", "k2", "i")
	further.Policy = []byte(`{"version":1}`)
	further, err = w.store.AddRelease(t.Context(), image.ID, further, storetest.Present)
	must(t, err)
	second, err := w.store.AddRelease(t.Context(), image.ID, storetest.Release("f", "k3", "i"), storetest.Present)
	must(t, err)
	must(t, w.store.SetChannel(t.Context(), store.Channel{Name: "debian-13/stable", Target: store.Target{Image: image.ID}, ChangedBy: storetest.Approver}, nil))
	content := fmt.Sprintf("%x", further.ContentHash())
	for _, tc := range []struct {
		path, title string
		done        audit.Reason
		form        url.Values
	}{
		{"/images/" + image.ID.String() + "/enabled", "Disable payments?", "image.changed", url.Values{"enabled": {"false"}}},
		{"/images/" + image.ID.String() + "/releases/" + release.ID.String() + "/retirement", "Retire release " + release.ID.String()[:8] + " of payments?",
			"release.retired", url.Values{}},
		{"/images/" + image.ID.String() + "/releases/" + release.ID.String() + "/restoration", "Restore release " + release.ID.String()[:8] + " of payments?",
			"release.restored", url.Values{}},
		{"/images/" + image.ID.String() + "/releases/" + further.ID.String() + "/approval", "Approve release " + further.ID.String()[:8] + " of payments?",
			"release.approved", url.Values{"content": {content}}},
		{"/images/" + image.ID.String() + "/releases/" + second.ID.String() + "/rejection", "Reject release " + second.ID.String()[:8] + " of payments?",
			"release.rejected", url.Values{}},
		{"/channels/delete", "Delete debian-13/stable?", "channel.deleted", url.Values{"name": {"debian-13/stable"}}},
		{"/tokens/" + token.ID.String() + "/revoke", "Revoke packer?", "token.revoked", url.Values{}},
	} {
		before := w.recorded()
		got := w.post(tc.path, tc.form)
		if page := got.Body.String(); got.Code != http.StatusOK || !strings.Contains(page, tc.title) || !strings.Contains(page, `action="`+tc.path+`"`) ||
			tc.form.Has("enabled") != strings.Contains(page, `name="enabled" value="false"`) || tc.form.Has("content") != strings.Contains(page, `name="content" value="`+content+`"`) {
			t.Errorf("%s: status %d, %s", tc.path, got.Code, page)
		}
		if now := w.recorded(); len(now) != len(before) {
			t.Errorf("%s: done without a question: %q", tc.path, now)
		}
		tc.form.Set(fieldSure, "yes")
		if got := w.post(tc.path, tc.form); got.Code != http.StatusSeeOther || !slices.Equal(w.recorded(), append(before, tc.done)) {
			t.Errorf("%s: answered with yes: status %d, recorded %q", tc.path, got.Code, w.recorded())
		}
	}
	before := w.recorded()
	if got := w.post("/images/"+image.ID.String()+"/enabled", url.Values{"enabled": {"true"}}); got.Code != http.StatusSeeOther || !slices.Equal(w.recorded(), append(before, "image.changed")) {
		t.Errorf("enabling asks, too: status %d, recorded %q", got.Code, w.recorded())
	}
}
