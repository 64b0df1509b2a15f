package api_test

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
)

// TestListImages goes through pages of images that match filters.
func TestListImages(t *testing.T) {
	w := newWorld(t)
	for i := range 7 {
		u := w.newUpload(fmt.Sprintf("image %d", i)).change(func(r *wire.Registration) {
			r.Labels = map[string]string{"odd": fmt.Sprint(i%2 == 1), "n": "a=b"}
			r.Disabled = i < 2
		})
		w.register(u, "/v1/images").want(201)
		w.clock.Advance(minute)
	}
	for query, want := range map[string]string{
		"": "6 5 4 3 2 1 0", "limit=3": "6 5 4 3 2 1 0", "limit=7": "6 5 4 3 2 1 0", "limit=1&enabled=true": "6 5 4 3 2",
		"enabled=false": "1 0", "label=odd=true&limit=2": "5 3 1", "label=odd=true&label=n=a%3Db&enabled=true": "5 3", "name=AGE+4": "4",
		"name=nothing": "", "label=odd=": "", "label=%00=%00": "", "name=%25": "", "name=" + strings.Repeat("a", 300): "",
	} {
		var got []string
		for cursor, pages := "", 0; pages == 0 || cursor != ""; pages++ {
			list := into[wire.ImageList](w.get("/v1/images?"+query+"&cursor="+url.QueryEscape(cursor), wire.RoleRead).want(200))
			for _, i := range list.Images {
				got = append(got, strings.TrimPrefix(i.Name, "image "))
			}
			cursor = list.Next
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: got %q, want %q", query, got, want)
		}
	}
}

// TestTooManyLabels asks for more labels than an image can have.
func TestTooManyLabels(t *testing.T) {
	w := newWorld(t)
	query := "/v1/images?limit=1"
	for i := range store.MaxLabels {
		query += fmt.Sprintf("&label=n%d=x", i)
	}
	w.get(query, wire.RoleRead).want(200)
	w.get(query+"&label=more=x", wire.RoleRead).problem(wire.CodeMalformed)
}

func TestPatchImage(t *testing.T) {
	w := newWorld(t)
	first, second := w.registered("first"), w.registered("second")
	path := "/v1/images/" + first.Image.ID.String()
	patch := func(body string) answer {
		return w.do(call{method: "PATCH", path: path, token: w.tokens[wire.RoleAdmin], contentType: "application/json", body: []byte(body)})
	}
	image := into[wire.Image](patch(`{"name":"new","enabled":false,"labels":{"a":"b"}}`).want(200))
	if image.Name != "new" || image.Enabled || image.Labels["a"] != "b" || len(image.Releases) != 1 {
		t.Errorf("image %+v", image)
	}
	if r := w.lastAudit(); r.Reason != "image.changed" || r.Details["name"] != "new" || r.Details["enabled"] != "false" || r.Details["labels"] != `{"a":"b"}` {
		t.Errorf("recorded %+v", r)
	}
	before := w.lastAudit().Seq
	image = into[wire.Image](patch(`{"name":null,"enabled":true,"labels":null}`).want(200))
	if image.Name != "new" || !image.Enabled || image.Labels["a"] != "b" {
		t.Errorf("image %+v", image)
	}
	image = into[wire.Image](patch(`{"labels":{}}`).want(200))
	if len(image.Labels) != 0 {
		t.Errorf("image %+v", image)
	}
	image = into[wire.Image](patch(`{"policy":{"version":1, "min_guest_svn":3},"revision":1,"launch_limit":{"max":5,"period":3600}}`).want(200))
	if string(image.Policy) != completed(t, `{"version":1,"min_guest_svn":3}`) || image.Revision != 2 || image.LaunchLimit != (wire.LaunchLimit{Max: 5, Period: 3600}) {
		t.Errorf("image %+v", image)
	}
	if r := w.lastAudit(); r.Details["policy_revision"] != "2" || len(r.Details["policy_sha256"]) != 64 || r.Details["launch_limit"] != "5 in 1h0m0s" {
		t.Errorf("recorded %+v", r)
	}
	image = into[wire.Image](patch(`{"launch_limit":{"max":0,"period":0}}`).want(200))
	if image.LaunchLimit != (wire.LaunchLimit{}) || image.Revision != 2 {
		t.Errorf("image %+v", image)
	}
	for body, code := range map[string]wire.Code{
		`{"policy":{"version":1},"revision":1}`: wire.CodeConflict, `{"policy":{"version":1}}`: wire.CodeUnprocessable,
		`{"policy":{"version":1,"vmpls":[1]},"revision":2}`: wire.CodeUnprocessable, `{"policy":[],"revision":2}`: wire.CodeUnprocessable,
		`{"launch_limit":{"max":1,"period":0}}`: wire.CodeUnprocessable, `{"launch_limit":{"max":-1,"period":60}}`: wire.CodeUnprocessable,
		`{"launch_limit":{"max":1,"period":40000000}}`: wire.CodeUnprocessable, `{"launch_limit":{"max":1.5,"period":60}}`: wire.CodeMalformed,
		`{}`: wire.CodeUnprocessable, `{"name":"second"}`: wire.CodeConflict, `{"name":""}`: wire.CodeUnprocessable,
		`{"name":"second","enabled":false}`: wire.CodeConflict, `{"id":"x"}`: wire.CodeMalformed, `{"enabled":1}`: wire.CodeMalformed,
		`{"labels":{"":"x"}}`: wire.CodeUnprocessable, `{"labels":{"a":"\u0000"}}`: wire.CodeUnprocessable,
		`{"labels":{"a":"` + strings.Repeat("b", 201) + `"}}`: wire.CodeUnprocessable,
	} {
		patch(body).problem(code)
	}
	if into[wire.Image](w.get(path, wire.RoleRead)); !into[wire.Image](w.get(path, wire.RoleRead)).Enabled || w.lastAudit().Seq != before+4 {
		t.Error("a patch that was refused changed something, or was recorded")
	}
	w.do(call{
		method: "PATCH", path: "/v1/images/" + wire.NewUUID().String(), token: w.tokens[wire.RoleAdmin],
		contentType: "application/json", body: []byte(`{"enabled":true}`),
	}).problem(wire.CodeNotFound)
	_ = second
}

// TestNames registers, and renames to, names that are good and bad.
func TestNames(t *testing.T) {
	w := newWorld(t)
	r := w.registered("first")
	rename := func(name string) answer {
		return w.send("PATCH", "/v1/images/"+r.Image.ID.String(), wire.RoleAdmin, wire.ImagePatch{Name: &name})
	}
	for _, name := range []string{
		"a", "Debian 13 (trixie)", "привет", "日本語", "a'b\"c;d", "<img onerror=alert(1)>", "{{.}}", "$(reboot)", "-rf", "a\u0301",
		strings.Repeat("a", 128), strings.Repeat("é", 100), "%2e%2e", "null",
	} {
		if image := into[wire.Image](rename(name).want(200)); image.Name != name {
			t.Errorf("%q became %q", name, image.Name)
		}
	}
	for _, name := range []string{
		"", " ", " a", "a ", ".", "..", "../a", "a/b", `a\b`, "a\nb", "a\x00b", "a\x1bb", "a\u202eb", "a\u200bb", "a\u00a0b", "a\u2028b", "\ufeffa",
		strings.Repeat("a", 129), strings.Repeat("é", 101), wire.NewUUID().String(), strings.ToUpper(wire.NewUUID().String()), "a\u0085b",
	} {
		if a := rename(name); a.status != 422 {
			t.Errorf("renamed to %q: %d, %s", name, a.status, a.body)
		}
		if a := w.register(w.newUpload("x").change(func(r *wire.Registration) { r.Name = name }), "/v1/images"); a.status != 422 {
			t.Errorf("registered as %q: %d, %s", name, a.status, a.body)
		}
	}
}

func TestPatchRelease(t *testing.T) {
	w := newWorld(t)
	r := w.registered("a")
	patch := func(body string) answer {
		return w.do(call{method: "PATCH", path: releasePath(r), token: w.tokens[wire.RoleAdmin], contentType: "application/json", body: []byte(body)})
	}
	release := into[wire.Release](patch(`{"policy":{"version":1, "min_guest_svn":3},"revision":1}`).want(200))
	if string(release.Policy) != `{"version":1,"signing_keys":["VCEK","VLEK"],"min_guest_svn":3,"tcb_floors":"none"}` || release.Revision != 2 || release.State != wire.StateApproved {
		t.Errorf("release %+v", release)
	}
	if r := w.lastAudit(); r.Reason != "release.changed" || r.Details["policy_revision"] != "2" || len(r.Details["policy_sha256"]) != 64 {
		t.Errorf("recorded %+v", r)
	}
	before := w.lastAudit().Seq
	for body, code := range map[string]wire.Code{
		`{"policy":{"version":1},"revision":1}`:                    wire.CodeConflict, // stale
		`{"policy":{"version":1},"revision":3}`:                    wire.CodeConflict,
		`{"policy":{"version":1},"revision":2,"state":"approved"}`: wire.CodeMalformed,
		`{"policy":{"version":1}}`:                                 wire.CodeUnprocessable,
		`{"policy":{"version":1},"revision":-1}`:                   wire.CodeUnprocessable,
		`{"policy":{"version":1,"vmpls":[1]},"revision":2}`:        wire.CodeUnprocessable,
		`{"policy":{"version":1,"unknown":[1]},"revision":2}`:      wire.CodeUnprocessable,
		`{"policy":[],"revision":2}`:                               wire.CodeUnprocessable,
		`{"policy":"{}","revision":2}`:                             wire.CodeUnprocessable,
		`{}`:                                                       wire.CodeUnprocessable,
		`{"revision":2}`:                                           wire.CodeUnprocessable,
		`{"guest_policy":"0x30000"}`:                               wire.CodeMalformed,
		`{"policy":` + strings.Repeat(" ", 200_000) + `{"version":1},"revision":2}`: wire.CodeTooLarge,
	} {
		patch(body).problem(code)
	}
	if release := into[wire.Release](w.get(releasePath(r), wire.RoleRead)); release.Revision != 2 || w.lastAudit().Seq != before {
		t.Errorf("a patch that was refused changed something, or was recorded: %+v", release)
	}
}

func TestDelete(t *testing.T) {
	w := newWorld(t)
	first, second := w.registered("first"), into[wire.Registered](w.register(w.newUpload("second").set("kernel", []byte("other kernel")), "/v1/images").want(201))
	if w.files.left() != 4 {
		t.Errorf("%d files", w.files.left())
	}
	other := fmt.Sprintf("/v1/images/%s/releases/%s", first.Image.ID, second.Release.ID)
	w.send("DELETE", other, wire.RoleAdmin, nil).problem(wire.CodeNotFound)
	w.send("DELETE", releasePath(second), wire.RoleAdmin, nil).want(204)
	if r := w.lastAudit(); r.Reason != "release.deleted" || r.ReleaseID != second.Release.ID.String() || r.ImageID != second.Image.ID.String() {
		t.Errorf("recorded %+v", r)
	}
	if w.files.left() != 3 {
		t.Errorf("%d files after a release", w.files.left())
	}
	w.send("DELETE", releasePath(second), wire.RoleAdmin, nil).problem(wire.CodeNotFound)
	w.send("DELETE", "/v1/images/"+first.Image.ID.String(), wire.RoleAdmin, nil).want(204)
	if r := w.lastAudit(); r.Reason != "image.deleted" || r.Details["name"] != "first" {
		t.Errorf("recorded %+v", r)
	}
	if w.files.left() != 0 {
		t.Errorf("%d files after the image", w.files.left())
	}
	w.get("/v1/images/"+first.Image.ID.String(), wire.RoleRead).problem(wire.CodeNotFound)
	w.send("DELETE", "/v1/images/"+first.Image.ID.String(), wire.RoleAdmin, nil).problem(wire.CodeNotFound)
	w.registered("first") // the name is free
}

func TestStatus(t *testing.T) {
	w := newWorld(t)
	w.registered("a")
	w.registered("b")
	status := into[wire.Status](w.get("/v1/status", wire.RoleRead).want(200))
	if status.Images != 2 || status.Releases != 2 || status.Version != "v1.2.3" || status.Database != "sqlite" || status.Audit.Seq != 2 ||
		status.Audit.Hash != w.lastAudit().Hash || status.Warnings == nil {
		t.Errorf("status %+v", status)
	}
	if !slices.Equal(status.Warnings, []string{}) {
		t.Errorf("warnings %q", status.Warnings)
	}
}
