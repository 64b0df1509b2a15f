package web

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/access"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/audit"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store/storetest"
)

// TestLogin logs in with and without an earlier session, which the new one takes
// the place of.
func TestLogin(t *testing.T) {
	w := newWorld(t, storetest.SQLite(t))
	form := url.Values{"password": {w.password}, "next": {"/tokens?cursor=x"}}
	r := newForm("/login", form)
	r.Header.Set("Cookie", "other=1")
	got := w.do(r)
	if got.Code != http.StatusSeeOther || got.Header().Get("Location") != "/tokens?cursor=x" {
		t.Errorf("status %d, to %s", got.Code, got.Header().Get("Location"))
	}
	parts := strings.Split(got.Header().Get("Set-Cookie"), "; ")
	slices.Sort(parts)
	secret, ours := strings.CutPrefix(parts[len(parts)-1], cookieName+"=")
	if want := "HttpOnly, Path=/, SameSite=Strict, Secure"; strings.Join(parts[:len(parts)-1], ", ") != want || !ours {
		t.Errorf("cookie %s", parts)
	}
	if _, err := w.sessions.Authenticate(t.Context(), secret); err != nil {
		t.Errorf("the new session: %v", err)
	}
	w.do(newForm("/login", form))
	if want := []audit.Reason{"session.started", "session.started", "session.ended"}; !slices.Equal(w.recorded(), want) {
		t.Errorf("with an earlier session: recorded %q", w.recorded())
	}
	if _, err := w.sessions.Authenticate(t.Context(), w.secret); !errors.Is(err, access.ErrUnauthenticated) {
		t.Errorf("the earlier session: %v", err)
	}
}

// TestLoginRefused gives wrong passwords, until there are too many.
func TestLoginRefused(t *testing.T) {
	w := newWorld(t, storetest.SQLite(t))
	for i := range 50 {
		got := w.do(newForm("/login", url.Values{"password": {"x"}}))
		if got.Header().Get("Set-Cookie") != "" {
			t.Fatalf("cookie %q", got.Header().Get("Set-Cookie"))
		}
		if got.Code == http.StatusTooManyRequests && i > 0 {
			if !strings.Contains(got.Body.String(), "Try again in ") {
				t.Errorf("too many: %s", got.Body)
			}
			return
		}
		if got.Code != http.StatusUnauthorized || !strings.Contains(got.Body.String(), "Wrong password.") {
			t.Fatalf("status %d: %s", got.Code, got.Body)
		}
	}
	t.Error("there are never too many")
}

func TestLogout(t *testing.T) {
	w := newWorld(t, storetest.SQLite(t))
	got := w.post("/logout", url.Values{})
	if want := []audit.Reason{"session.ended"}; !slices.Equal(w.recorded(), want) {
		t.Errorf("recorded %q", w.recorded())
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
	if recorded := w.recorded(); len(recorded) > 0 {
		t.Errorf("recorded: %q", recorded)
	}
}
