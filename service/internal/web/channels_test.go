package web

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store/storetest"
)

// TestMoveChannel moves a channel from what its form shows: when somebody has moved it
// meanwhile, it stays.
func TestMoveChannel(t *testing.T) {
	w := newWorld(t, storetest.SQLite(t))
	image, release := w.image("payments")
	other, _ := w.image("other")
	old := store.Target{Image: image.ID, Release: release.ID}
	must(t, w.store.SetChannel(t.Context(), store.Channel{Name: "payments/stable", Target: old, ChangedBy: storetest.Approver}, nil))
	page := w.get("/channels?move=payments/stable").Body.String()
	for _, want := range []string{"Move the channel", `name="previous_image" value="` + image.ID.String(), `name="previous_release" value="` + release.ID.String()} {
		if !strings.Contains(page, want) {
			t.Errorf("%q is not in %s", want, page)
		}
	}
	form := url.Values{
		"name": {"payments/stable"}, "image": {other.ID.String()}, "release": {""},
		"previous_image": {image.ID.String()}, "previous_release": {release.ID.String()},
	}
	for _, want := range []int{http.StatusSeeOther, http.StatusConflict} { // the second time it is no longer there
		if got := w.post("/channels", form); got.Code != want {
			t.Errorf("status %d, want %d: %s", got.Code, want, got.Body)
		}
	}
	if got, err := w.store.Channel(t.Context(), "payments/stable"); err != nil || got.Target != (store.Target{Image: other.ID}) {
		t.Errorf("got %+v, %v", got, err)
	}
	for _, wrong := range []url.Values{{"name": {"a/b"}, "image": {"x"}}, {"name": {"a/b"}, "image": {image.ID.String()}, "release": {"x"}}} {
		if got := w.post("/channels", wrong); got.Code != http.StatusUnprocessableEntity {
			t.Errorf("%v: status %d", wrong, got.Code)
		}
	}
}
