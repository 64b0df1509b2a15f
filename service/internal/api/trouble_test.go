package api_test

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/access"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/api"
)

// breakLog lets the database refuse all further audit records.
func (w *world) breakLog() {
	w.t.Helper()
	_, err := w.db.Raw(w.t).ExecContext(w.t.Context(), `CREATE TRIGGER broken BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'broken'); END`)
	must(w.t, err)
}

// TestNothingWithoutARecord refuses to answer what could not be put on record.
func TestNothingWithoutARecord(t *testing.T) {
	w := newWorld(t)
	archive := w.get("/v1/kds/export", wire.RoleRead).want(200).body
	w.breakLog()
	w.send("POST", "/v1/session", "", wire.Login{Password: "wrong"}).problem(wire.CodeInternal)
	w.send("POST", "/v1/session", "", wire.Login{Password: w.password}).problem(wire.CodeInternal)
	w.do(call{
		method: "POST", path: "/v1/kds/import", token: w.tokens[wire.RoleAdmin], contentType: "application/gzip", body: archive,
	}).problem(wire.CodeInternal)
}

// TestNoRoomToImport asks for an import while as many as may be are under way.
func TestNoRoomToImport(t *testing.T) {
	w := newWorld(t, func(c *api.Config) {
		delete(c.Accounts.Gate.Limits, access.Exports)
		delete(c.Accounts.Gate.Limits, access.Verifications)
	})
	w.do(call{
		method: "POST", path: "/v1/kds/import", token: w.tokens[wire.RoleAdmin], contentType: "application/gzip", body: []byte("x"),
	}).problem(wire.CodeUnavailable)
}

// TestPages serves pages beside the API, with the same headers.
func TestPages(t *testing.T) {
	w := newWorld(t, func(c *api.Config) { c.Now = nil })
	handler := w.api.With(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) }))
	for path, want := range map[string]int{"/": http.StatusTeapot, "/v1": http.StatusTeapot, "/v1/nothing": http.StatusNotFound, "/v1/status": http.StatusUnauthorized} {
		answer := httptest.NewRecorder()
		handler.ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, http.NoBody))
		if answer.Code != want || answer.Header().Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %d, %v", path, answer.Code, answer.Header())
		}
	}
}

// deaf is a client that takes no answer.
type deaf struct{ http.ResponseWriter }

func (deaf) Write([]byte) (int, error) { return 0, errors.New("connection reset") }

// TestProblemThatIsNotTaken leaves a line in the log and no more.
func TestProblemThatIsNotTaken(t *testing.T) {
	w := newWorld(t)
	w.api.ServeHTTP(deaf{httptest.NewRecorder()}, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/v1/nothing", http.NoBody))
	if text := w.log.String(); !strings.Contains(text, "problem was not taken") || !strings.Contains(text, "connection reset") {
		t.Errorf("log: %s", text)
	}
}

// TestFollowerThatGoes does not wait on for a client that has gone.
func TestFollowerThatGoes(t *testing.T) {
	w := newWorld(t)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/v1/audit?order=oldest&wait=30", http.NoBody)
	r.Header.Set("Authorization", "Bearer "+w.tokens[wire.RoleRead])
	start := time.Now()
	w.api.ServeHTTP(httptest.NewRecorder(), r)
	if took := time.Since(start); ctx.Err() == nil || took > 15*time.Second {
		t.Errorf("waited for %s, %v", took, ctx.Err())
	}
}

// TestRegistrationLargerThanAnnounced sends more than any registration may have,
// before its first part.
func TestRegistrationLargerThanAnnounced(t *testing.T) {
	w := newWorld(t, func(c *api.Config) {
		c.Registry.Limits.Firmware, c.Registry.Limits.Kernel, c.Registry.Limits.Initrd = 100, 100, 100
	})
	body, contentType := w.newUpload("a").encode(t)
	large := bytes.Repeat([]byte("x\r\n"), 1<<20)
	w.do(call{
		method: "POST", path: "/v1/images", token: w.tokens[wire.RoleRegister], contentType: contentType, body: append(large, body...), chunked: true,
	}).problem(wire.CodeTooLarge)
	w.nothingLeft("too large")
}
