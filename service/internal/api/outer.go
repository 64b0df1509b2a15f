package api

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/limit"
)

// headerRequestID is in every answer.
const headerRequestID = "X-Request-Id"

// outer is around everything, unknown paths too: request ID, security headers,
// recovery and the access log.
func (a *API) outer(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		e := &exchange{id: newRequestID(), unread: r.ContentLength != 0}
		setHeaders(w.Header(), e.id)
		watched := &watchedWriter{ResponseWriter: w}
		start := time.Now()
		ctx := context.WithValue(r.Context(), exchangeKey{}, e)
		defer a.logAccess(ctx, watched, r, start)
		defer a.rescue(ctx, watched)
		if err := a.begin(http.NewResponseController(w), r); err != nil {
			a.answer(ctx, watched, err)
			return
		}
		next.ServeHTTP(watched, r.WithContext(ctx))
	})
}

// newRequestID returns a random ID. None is ever taken from a client, which
// could name another's.
func newRequestID() string {
	b := make([]byte, 12)
	rand.Read(b) // never fails, see crypto/rand
	return hex.EncodeToString(b)
}

func setHeaders(h http.Header, requestID string) {
	h.Set(headerRequestID, requestID)
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
}

// rescue turns a panic into an internal error. An answer that has begun is cut
// off, so that the client does not take it for whole.
func (a *API) rescue(ctx context.Context, w *watchedWriter) {
	p := recover()
	if p == nil {
		return
	}
	if err, ok := p.(error); ok && err == http.ErrAbortHandler { //nolint:errorlint // net/http compares so too
		w.aborted = true
		panic(p)
	}
	a.log.ErrorContext(ctx, "panic", "request_id", exchangeOf(ctx).id, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
	if w.status != 0 {
		w.aborted = true
		panic(http.ErrAbortHandler)
	}
	a.answer(ctx, w, fmt.Errorf("panic: %v", p))
}

// maxLoggedPath bounds what a client writes into the log.
const maxLoggedPath = 200

// logAccess writes a line for each request: no query, no body, no secret.
func (a *API) logAccess(ctx context.Context, w *watchedWriter, r *http.Request, start time.Time) {
	e := exchangeOf(ctx)
	a.cfg.Observe(e.route, observedMethod(r.Method), w.status)
	a.log.LogAttrs(ctx, slog.LevelInfo, "request",
		slog.String("request_id", e.id),
		slog.String("method", cut(r.Method, 20)),
		slog.String("path", cut(r.URL.Path, maxLoggedPath)),
		slog.Int("status", w.status),
		slog.Int64("bytes", w.bytes),
		slog.Bool("aborted", w.aborted),
		slog.Duration("duration", time.Since(start)),
		slog.String("address", limit.Address(r.RemoteAddr)),
		slog.String("actor", e.actor),
	)
}

// observedMethod keeps what clients make up out of the metrics.
func observedMethod(method string) string {
	switch method {
	case http.MethodGet, http.MethodPost, http.MethodPatch, http.MethodDelete:
		return method
	}
	return "other"
}

// watchedWriter remembers what was answered.
type watchedWriter struct {
	http.ResponseWriter
	status  int
	bytes   int64
	aborted bool
}

// WriteHeader implements http.ResponseWriter.
func (w *watchedWriter) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (w *watchedWriter) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	n, err := w.ResponseWriter.Write(p)
	w.bytes += int64(n)
	return n, err
}

// Begun reports whether the client has got a part of the answer.
func (w *watchedWriter) Begun() bool { return w.status != 0 }

// Unwrap lets http.ResponseController through.
func (w *watchedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
