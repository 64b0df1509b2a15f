package web

import (
	"html"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/audit"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store/storetest"
)

func TestInstancesPage(t *testing.T) {
	w := newWorld(t, storetest.SQLite(t))
	image, release := w.image("debian")
	if page := w.get("/instances").Body.String(); !strings.Contains(page, "There are no instances.") {
		t.Error("an empty list says nothing")
	}
	w.ready(release, w.instance(image, "web-1").ID)
	w.instance(image, "web-2")
	gone := w.instance(image, "db-1")
	must(t, w.store.DeleteInstance(t.Context(), gone.ID))
	for query, want := range map[string]string{
		"": "web-1 web-2", "?name=b-2": "web-2", "?state=ready": "web-1", "?state=new": "web-2", "?state=deleted": "db-1", "?state=claimed": "",
		"?image=" + image.ID.String(): "web-1 web-2", "?image=" + release.ID.String(): "", "?name=none": "",
	} {
		got := w.get("/instances" + query)
		if got.Code != http.StatusOK {
			t.Errorf("%s: status %d", query, got.Code)
		}
		for _, name := range []string{"web-1", "web-2", "db-1"} {
			if has := strings.Contains(got.Body.String(), "<bdi>"+name+"</bdi>"); has != strings.Contains(want, name) {
				t.Errorf("%s: %s is shown: %t", query, name, has)
			}
		}
	}
	if got := w.get("/instances?image=debian"); got.Code != http.StatusUnprocessableEntity || !strings.Contains(got.Body.String(), "Image: want its ID.") {
		t.Errorf("status %d", got.Code)
	}
	if got := w.get("/instances?cursor=x"); got.Code != http.StatusBadRequest {
		t.Errorf("status %d", got.Code)
	}
	for range store.DefaultPage {
		w.instance(image, "many-"+wire.NewUUID().String()[:8])
	}
	if page := w.get("/instances").Body.String(); !strings.Contains(page, ">Older</a>") || strings.Contains(page, ">web-1<") {
		t.Error("the list has no second page")
	}
	if page := w.get("/images/" + image.ID.String()).Body.String(); !strings.Contains(page, "<dt>New</dt><dd>51</dd><dt>Claimed</dt><dd>0</dd><dt>Ready</dt><dd>1</dd>") {
		t.Error("the image's page does not count them")
	}
}

// TestInstancePage does what the page offers, as somebody who first gets it wrong.
func TestInstancePage(t *testing.T) {
	w := newWorld(t, storetest.SQLite(t))
	image, release := w.image("debian")
	made := w.instance(image, "web-1")
	w.ready(release, made.ID)
	path := "/instances/" + made.ID.String()
	page := w.get(path).Body.String()
	for _, part := range []string{"<bdi>web-1</bdi>", "<bdi>debian</bdi>", "534e504755415244", "<dt>Generation</dt><dd>5</dd>", "Download the recovery", `href="/audit?instance=` + made.ID.String()} {
		if !strings.Contains(page, part) {
			t.Errorf("%q is not on the page", part)
		}
	}
	for _, tc := range []struct {
		action string
		form   url.Values
		says   string
	}{
		{"/reset", url.Values{"typed": {"web-2"}}, "The instance was not reset."},
		{"/reset", url.Values{}, "The instance was not reset."},
		{"/delete", url.Values{"typed": {"debian"}}, "The instance was not deleted."},
		{"/restore", url.Values{"generation": {"four"}}, "Enter the generation of the disk"},
		{"/restore", url.Values{"generation": {"9"}}, "generation 9: want one that is older than the current 5"},
		{"/undelete", url.Values{}, `instance "web-1" is not deleted`},
	} {
		got := w.post(path+tc.action, tc.form)
		if body := html.UnescapeString(got.Body.String()); got.Code != http.StatusUnprocessableEntity || !strings.Contains(strings.ToLower(body), strings.ToLower(tc.says)) {
			t.Errorf("%s %v: status %d, it does not say %q", tc.action, tc.form, got.Code, tc.says)
		}
	}
	if got := w.post(path+"/enabled", url.Values{"enabled": {"false"}}); got.Code != http.StatusOK || !strings.Contains(got.Body.String(), "Disable web-1?") {
		t.Errorf("not asked: status %d", got.Code)
	}
	if now, err := w.store.InstanceByID(t.Context(), made.ID); err != nil || !now.Enabled || now.State != wire.StateReady || !now.DeletedAt.IsZero() || now.Restore != 0 {
		t.Fatalf("it was changed: %+v, %v", now, err)
	}
	if got := w.post(path+"/recovery", url.Values{}); got.Body.String() != "age file" || !strings.Contains(got.Header().Get("Content-Disposition"), ".age") {
		t.Errorf("recovery %q", got.Body)
	}
	if got := w.post(path+"/delete", url.Values{"typed": {"web-1"}}); got.Code != http.StatusSeeOther {
		t.Errorf("delete: status %d", got.Code)
	}
	if page := w.get(path).Body.String(); !strings.Contains(page, "Take the deletion back") || strings.Contains(page, "Reset the instance") {
		t.Error("the page of a deleted instance")
	}
	for _, missing := range []string{"/instances/" + wire.NewUUID().String(), "/instances/web-1"} {
		if got := w.get(missing); got.Code != http.StatusNotFound {
			t.Errorf("%s: status %d", missing, got.Code)
		}
		for _, action := range []string{"/reset", "/delete", "/undelete", "/recovery", "/enabled"} {
			if got := w.post(missing+action, url.Values{"typed": {"web-1"}, "enabled": {"true"}}); got.Code != http.StatusNotFound {
				t.Errorf("%s: status %d", missing+action, got.Code)
			}
		}
	}
	for form, says := range map[string]string{
		"image=debian&name=web-2": "Enter the ID of its image.", "image=" + image.ID.String() + "&name=Web": "lower-case letters",
	} {
		values, err := url.ParseQuery(form)
		must(t, err)
		if got := w.post("/instances", values); got.Code != http.StatusUnprocessableEntity || !strings.Contains(got.Body.String(), says) {
			t.Errorf("%s: status %d", form, got.Code)
		}
	}
	if got := w.post("/images/"+image.ID.String()+"/instances", url.Values{"mode": {"auto"}, "instances": {"many"}, "generation": {"report"}}); got.Code != http.StatusUnprocessableEntity {
		t.Errorf("status %d", got.Code)
	}
}

// TestReportedRollbackIsShown finds the grant of an older disk among the events of its
// instance, by its reason, and tells what to do about it.
func TestReportedRollbackIsShown(t *testing.T) {
	w := newWorld(t, storetest.SQLite(t))
	image, release := w.image("debian")
	made := w.instance(image, "web-1")
	w.ready(release, made.ID)
	launch, err := w.store.FindLaunch(t.Context(), image.IDKeyDigest, image.AuthorKeyDigest, release.ID)
	must(t, err)
	u := storetest.InstanceUnlock(launch, made.ID)
	u.Audit.Reason = audit.ReasonRollback
	entry, err := w.store.RecordUnlock(t.Context(), u)
	must(t, err)
	advice := adviceOn(audit.ReasonRollback)
	for path, want := range map[string]string{
		"/instances/" + made.ID.String():               advice.Title,
		"/audit?outcome=granted&reason=rollback":       advice.Title,
		"/records/" + strconv.FormatInt(entry.Seq, 10): advice.Do,
	} {
		if page := html.UnescapeString(w.get(path).Body.String()); !strings.Contains(page, want) {
			t.Errorf("%s does not say %q", path, want)
		}
	}
}
