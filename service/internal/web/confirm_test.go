package web

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store/storetest"
)

// TestAskedFirst presses each button that cuts off guests or programs, or lets guests
// in. The API is
// asked for nothing before the question was answered, whether there is a script or not.
func TestAskedFirst(t *testing.T) {
	w := newWorld(t, storetest.SQLite(t))
	image, release := w.image("payments")
	token, err := w.store.CreateToken(t.Context(), store.Token{ID: wire.NewUUID(), Name: "packer", Role: string(wire.RoleRead), Hash: [32]byte{1}, ExpiresAt: time.Now().Add(time.Hour)})
	must(t, err)
	for _, tc := range []struct {
		path, title, asked string
		form               url.Values
	}{
		{"/images/" + image.ID.String() + "/enabled", "Disable payments?", "PATCH /v1/images/" + image.ID.String(), url.Values{"enabled": {"false"}}},
		{"/images/" + image.ID.String() + "/releases/" + release.ID.String() + "/enabled", "Disable release " + release.ID.String()[:8] + " of payments?",
			"PATCH /v1/images/" + image.ID.String() + "/releases/", url.Values{"enabled": {"false"}}},
		{"/images/" + image.ID.String() + "/releases/" + release.ID.String() + "/approval", "Approve release " + release.ID.String()[:8] + " of payments?",
			"POST /v1/images/" + image.ID.String() + "/releases/" + release.ID.String() + "/approval", url.Values{"content": {"ab"}}},
		{"/tokens/" + token.ID.String() + "/revoke", "Revoke packer?", "DELETE /v1/tokens/" + token.ID.String(), url.Values{}},
	} {
		w.api.asked = nil
		got := w.post(tc.path, tc.form)
		if page := got.Body.String(); got.Code != http.StatusOK || !strings.Contains(page, tc.title) || !strings.Contains(page, `action="`+tc.path+`"`) ||
			tc.form.Has("enabled") != strings.Contains(page, `name="enabled" value="false"`) || tc.form.Has("content") != strings.Contains(page, `name="content" value="ab"`) {
			t.Errorf("%s: status %d, %s", tc.path, got.Code, page)
		}
		if len(w.api.asked) > 0 {
			t.Errorf("%s: done without a question: %q", tc.path, w.api.asked)
		}
		tc.form.Set(fieldSure, "yes")
		if got := w.post(tc.path, tc.form); got.Code != http.StatusSeeOther || len(w.api.asked) != 1 || !strings.HasPrefix(w.api.asked[0], tc.asked) {
			t.Errorf("%s: answered with yes: status %d, the API was asked %q", tc.path, got.Code, w.api.asked)
		}
	}
	w.api.asked = nil
	if got := w.post("/images/"+image.ID.String()+"/enabled", url.Values{"enabled": {"true"}}); got.Code != http.StatusSeeOther || len(w.api.asked) != 1 {
		t.Errorf("enabling asks, too: status %d, the API was asked %q", got.Code, w.api.asked)
	}
}
