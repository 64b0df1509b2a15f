package web

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/access"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/audit"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store/storetest"
)

// TestForgedRequests sends each action as another site, another session or nobody
// would. Nothing is changed.
func TestForgedRequests(t *testing.T) {
	w := newWorld(t, storetest.SQLite(t))
	image, release := w.image("image")
	token := (&request{secret: w.secret}).token()
	other := (&request{secret: w.newSession()}).token()
	for _, rt := range w.web.table() {
		if rt.method != http.MethodPost {
			continue
		}
		path := w.paths(image, release).Replace(rt.path)
		for name, tc := range map[string]struct {
			token, site, origin string
			cookie              bool
			want                int
		}{
			"another site":     {token, "cross-site", "", true, http.StatusForbidden},
			"a subdomain":      {token, "same-site", "", true, http.StatusForbidden},
			"an old browser":   {token, "", "https://example.org", true, http.StatusForbidden},
			"a hidden origin":  {token, "", "null", true, http.StatusForbidden},
			"no token":         {"", "same-origin", "", true, http.StatusForbidden},
			"another's token":  {other, "same-origin", "", true, http.StatusForbidden},
			"nobody":           {token, "same-origin", "", false, http.StatusSeeOther},
			"nobody elsewhere": {token, "cross-site", "", false, http.StatusForbidden},
		} {
			if rt.public && (tc.token != token || !tc.cookie && tc.site == "same-origin") {
				continue // a login needs neither session nor token
			}
			r := newForm(path, url.Values{fieldToken: {tc.token}, "enabled": {"false"}, fieldSure: {"yes"}, "typed": {typedFor(rt.path, image)}})
			if rt.stream {
				r = newMultipart(t, path, tc.token)
			}
			r.Header.Set("Sec-Fetch-Site", tc.site)
			if tc.site == "" {
				r.Header.Del("Sec-Fetch-Site")
			}
			if tc.origin != "" {
				r.Header.Set("Origin", tc.origin)
			}
			if !tc.cookie {
				r.Header.Set("Cookie", "other=1")
			}
			if got := w.do(r); got.Code != tc.want {
				t.Errorf("%s, %s: status %d, want %d", path, name, got.Code, tc.want)
			}
		}
	}
	if recorded := w.recorded(); len(recorded) > 0 {
		t.Errorf("recorded: %q", recorded)
	}
}

// typedFor is the name that an action wants typed.
func typedFor(path string, image store.Image) string {
	if strings.HasPrefix(path, "/instances") {
		return "web-1"
	}
	return image.Name
}

func newMultipart(t *testing.T, path, token string) *http.Request {
	t.Helper()
	body := "--x\r\nContent-Disposition: form-data; name=\"csrf\"\r\n\r\n" + token +
		"\r\n--x\r\nContent-Disposition: form-data; name=\"archive\"; filename=\"a\"\r\nContent-Type: application/gzip\r\n\r\nxyz\r\n--x--\r\n"
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
	r.Header.Set("Content-Type", "multipart/form-data; boundary=x")
	return r
}

// TestPagesNeedRoles wants an operation of the table, and with it a role, for each page
// that is not for everybody.
func TestPagesNeedRoles(t *testing.T) {
	w := newWorld(t, storetest.SQLite(t))
	for _, rt := range w.web.table() {
		if rule, known := access.Operations()[rt.op]; rt.public == known || !rt.public && rule.Role == "" {
			t.Errorf("%s %s: operation %q, role %q", rt.method, rt.path, rt.op, rule.Role)
		}
	}
}

// TestRoleBeforePage asks for a page whose operation the session's role does not allow,
// which for an admin's is none of the table: it is not made.
func TestRoleBeforePage(t *testing.T) {
	w := newWorld(t, storetest.SQLite(t))
	for op, want := range map[access.Operation]int{access.ReadImages: http.StatusOK, "none of the table": http.StatusForbidden} {
		made := false
		page := w.web.handler(route{method: http.MethodGet, path: "/page", op: op, handle: func(http.ResponseWriter, *request) error {
			made = true
			return nil
		}})
		r := httptest.NewRequest(http.MethodGet, "/page", nil)
		r.AddCookie(sessionCookie(w.secret))
		answer := httptest.NewRecorder()
		page.ServeHTTP(answer, r.WithContext(t.Context()))
		if answer.Code != want || made != (want == http.StatusOK) {
			t.Errorf("%s: status %d, made: %v", op, answer.Code, made)
		}
	}
}

// TestGetChangesNothing asks for each page with what forms send: a link changes
// nothing.
func TestGetChangesNothing(t *testing.T) {
	w := newWorld(t, storetest.SQLite(t))
	image, release := w.image("image")
	if _, err := w.store.RecordAdmin(t.Context(), audit.Record{Outcome: audit.OutcomeDone, Reason: "x"}); err != nil {
		t.Fatal(err)
	}
	for _, rt := range w.web.table() {
		if rt.method != http.MethodGet || strings.Contains(rt.path, "assets") {
			continue
		}
		path := w.paths(image, release).Replace(rt.path)
		download := rt.op == access.ExportRelease || rt.op == access.ExportAudit // of what is not there, with parameters that it has not
		if got := w.get(path + "?enabled=false&typed=image&csrf=x&name=x"); got.Code != http.StatusOK && rt.path != "/login" && !download {
			t.Errorf("%s: status %d: %.300s", path, got.Code, got.Body)
		}
	}
	head, err := w.store.AuditHead(t.Context())
	if now, imageErr := w.store.ImageByID(t.Context(), image.ID); err != nil || imageErr != nil || head.Seq != 1 || !now.Enabled {
		t.Errorf("the head is %s, the image %+v", head, now)
	}
}

// TestLoggedOut asks for each page without a session, or with one that has ended.
func TestLoggedOut(t *testing.T) {
	w := newWorld(t, storetest.SQLite(t))
	image, release := w.image("secret name")
	ended := w.newSession()
	must(t, w.sessions.End(t.Context(), ended))
	for _, cookie := range []string{"other=1", cookieName + "=", cookieName + "=snps_x", cookieName + "=" + ended, cookieName + "=snpg_" + strings.Repeat("A", 43)} {
		for _, rt := range w.web.table() {
			if rt.public || rt.method != http.MethodGet {
				continue
			}
			path := w.paths(image, release).Replace(rt.path) + "?a=b"
			r := httptest.NewRequest(http.MethodGet, path, nil)
			r.Header.Set("Cookie", cookie)
			got := w.do(r)
			want := "/login?" + url.Values{"next": {path}}.Encode()
			if got.Code != http.StatusSeeOther || got.Header().Get("Location") != want ||
				strings.Contains(got.Body.String(), image.Name) {
				t.Errorf("%s: status %d, to %s, want %s", path, got.Code, got.Header().Get("Location"), want)
			}
		}
	}
	if recorded := w.recorded(); len(recorded) > 0 {
		t.Errorf("recorded: %q", recorded)
	}
}

// TestHeaders looks at what keeps browsers from running and framing what is not
// the page's.
func TestHeaders(t *testing.T) {
	w := newWorld(t, storetest.SQLite(t))
	for _, path := range []string{"/", "/login", "/nothing", "/images"} {
		csp := w.get(path).Header().Get("Content-Security-Policy")
		for _, part := range []string{"default-src 'none'", "script-src 'self'", "style-src 'self'", "form-action 'self'", "base-uri 'none'", "frame-ancestors 'none'", "require-trusted-types-for 'script'"} {
			if !strings.Contains(csp, part) {
				t.Errorf("%s: %s is missing in %q", path, part, csp)
			}
		}
		if strings.Contains(csp, "unsafe") || strings.Contains(csp, "http") || strings.Contains(csp, "*") || strings.Contains(csp, "data:") {
			t.Errorf("%s: %s", path, csp)
		}
	}
	page := w.get("/").Body.String()
	for _, part := range []string{"<style", " style=", " onclick", "javascript:", "//cdn"} {
		if strings.Contains(page, part) {
			t.Errorf("the page has %q", part)
		}
	}
}
