package web

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store/storetest"
)

// TestLogin logs in with and without an earlier session, which the new one takes
// the place of.
func TestLogin(t *testing.T) {
	w := newWorld(t, storetest.SQLite(t))
	w.api.status, w.api.body = http.StatusCreated, `{"secret":"snps_new","expires_at":"2026-01-02T03:04:05Z"}`
	form := url.Values{"password": {"the password"}, "next": {"/tokens?cursor=x"}}
	r := newForm("/login", form)
	r.Header.Set("Cookie", "other=1")
	got := w.do(r)
	if got.Code != http.StatusSeeOther || got.Header().Get("Location") != "/tokens?cursor=x" {
		t.Errorf("status %d, to %s", got.Code, got.Header().Get("Location"))
	}
	cookie := got.Header().Get("Set-Cookie")
	parts := strings.Split(cookie, "; ")
	slices.Sort(parts)
	if want := "HttpOnly, Path=/, SameSite=Strict, Secure, __Host-snpguard=snps_new"; strings.Join(parts, ", ") != want {
		t.Errorf("cookie %s", cookie)
	}
	if want := []string{"POST /v1/session"}; !slices.Equal(w.api.asked, want) || w.api.bodies[0] != `{"password":"the password"}` {
		t.Errorf("asked %q with %q", w.api.asked, w.api.bodies)
	}
	w.api.asked = nil
	w.do(newForm("/login", form))
	if want := []string{"POST /v1/session", "DELETE /v1/session Bearer " + w.secret}; !slices.Equal(w.api.asked, want) {
		t.Errorf("with an earlier session: asked %q", w.api.asked)
	}
}

// TestLoginRefused shows what the API says of a wrong password, and of too many.
func TestLoginRefused(t *testing.T) {
	w := newWorld(t, storetest.SQLite(t))
	w.api.header = http.Header{"Content-Type": {wire.ProblemContentType}, "Retry-After": {"17"}}
	for _, tc := range []struct {
		status int
		body   string
		says   string
	}{
		{401, `{"code":"unauthenticated","detail":"the password is wrong","status":401}`, "That is not the password."},
		{429, `{"code":"locked","title":"There were too many wrong passwords; try again later.","status":429}`, "Try again in 17 seconds."},
	} {
		w.api.status, w.api.body = tc.status, tc.body
		got := w.do(newForm("/login", url.Values{"password": {"x"}}))
		if got.Code != tc.status || !strings.Contains(got.Body.String(), tc.says) || got.Header().Get("Set-Cookie") != "" {
			t.Errorf("status %d, cookie %q: %s", got.Code, got.Header().Get("Set-Cookie"), got.Body)
		}
	}
}

func TestLogout(t *testing.T) {
	w := newWorld(t, storetest.SQLite(t))
	got := w.post("/logout", url.Values{})
	if want := []string{"DELETE /v1/session Bearer " + w.secret}; !slices.Equal(w.api.asked, want) {
		t.Errorf("asked %q", w.api.asked)
	}
	if cookie := got.Header().Get("Set-Cookie"); !strings.HasPrefix(cookie, cookieName+"=;") || !strings.Contains(cookie, "Max-Age=0") {
		t.Errorf("cookie %s", cookie)
	}
}

func TestLocalPath(t *testing.T) {
	for text, want := range map[string]string{
		"": "/", "/": "/", "/images?name=a": "/images?name=a", "//example.org": "/", "///example.org": "/", "https://example.org/": "/",
		`/\example.org`: "/", `\\example.org`: "/", "javascript:alert(1)": "/", "/\t/example.org": "/", "images": "/", "/a\r\nb": "/",
		"/%2F/example.org": "/", "/" + strings.Repeat("a", 3000): "/",
	} {
		if got := localPath(text); got != want {
			t.Errorf("%.40q: got %.40q, want %q", text, got, want)
		}
	}
}

// TestLargeForms sends more than forms have.
func TestLargeForms(t *testing.T) {
	w := newWorld(t, storetest.SQLite(t))
	if got := w.post("/tokens", url.Values{"name": {strings.Repeat("x", maxForm)}}); got.Code != http.StatusRequestEntityTooLarge {
		t.Errorf("status %d", got.Code)
	}
	r := newMultipart(t, "/inspect", strings.Repeat("x", maxPart+1))
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	if got := w.do(r); got.Code != http.StatusRequestEntityTooLarge {
		t.Errorf("status %d", got.Code)
	}
	if len(w.api.asked) > 0 {
		t.Errorf("the API was asked: %q", w.api.asked)
	}
}
