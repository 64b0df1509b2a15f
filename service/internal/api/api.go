package api

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/julienschmidt/httprouter"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/limit"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/access"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/oversight"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/registry"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/unlock"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/update"
)

// Unlocker decides who gets a key; *unlock.Service is one. Its errors are *unlock.Denial
// or wrap unlock.ErrUnavailable.
type Unlocker interface {
	Challenge() *wire.Challenge
	Unlock(ctx context.Context, r *wire.UnlockRequest, c unlock.Caller) (*wire.Grant, error)
}

// Updater answers guests that have booted; *update.Service does. Its errors are
// *unlock.Denial or wrap unlock.ErrUnavailable or wire.ErrShape.
type Updater interface {
	Update(ctx context.Context, call *wire.GuestCall, c unlock.Caller) (*wire.GuestAnswer, error)
	Confirm(ctx context.Context, call *wire.GuestCall, c unlock.Caller) (*wire.GuestAnswer, error)
	Bundle(ctx context.Context, ticket []byte) (*update.Bundle, error)
}

// Booter answers the boots of instances; *instance.Service does. Its errors are Updater's.
type Booter interface {
	Claim(ctx context.Context, call *wire.BootCall, c unlock.Caller) (*wire.GuestAnswer, error)
	Ready(ctx context.Context, call *wire.BootCall, c unlock.Caller) (*wire.GuestAnswer, error)
	Commit(ctx context.Context, call *wire.BootCall, c unlock.Caller) (*wire.GuestAnswer, error)
}

// Config is what the API is made of. All of it is needed but Now and Observe.
type Config struct {
	Store    *store.Store // whose images are shown
	Registry *registry.Registry
	Accounts *access.Accounts
	Desk     *oversight.Desk
	Unlocker Unlocker
	Updater  Updater
	Booter   Booter
	KDSInfo  wire.KDSStatus  // BaseURL and Offline
	Info     wire.PublicInfo // as it is answered
	Status   wire.Status     // Version, StartedAt, Database, Simulated and Warnings
	Limits   Limits          // DefaultLimits
	Log      *slog.Logger
	Now      func() time.Time // for the rate limits; time.Now when nil

	// Observe is told of each answer, with the pattern of its path: "" when
	// there is no such path. It may be nil.
	Observe func(route, method string, status int)
}

// Limits are what the API lets through.
type Limits struct {
	Attestation, AttestationAll limit.Rate // calls of guests, of each address and of all

	Body time.Duration // that a small body may take
	Pace Pace          // of a large one
}

// DefaultLimits returns limits for a service of its own machine.
func DefaultLimits() Limits {
	return Limits{
		Attestation: limit.Rate{PerSecond: 5, Burst: 60}, AttestationAll: limit.Rate{PerSecond: 500, Burst: 2000},
		Body: 15 * time.Second, Pace: Pace{Stall: 30 * time.Second, MinRate: 128 << 10},
	}
}

// API serves HTTP.
type API struct {
	cfg         Config
	log         *slog.Logger
	attestation *limit.Limiter
	routes      []route
	inner       http.Handler // the routes
	handler     http.Handler // with what is around them
}

// New makes the API.
func New(cfg Config) *API {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Observe == nil {
		cfg.Observe = func(string, string, int) {}
	}
	a := &API{
		cfg:         cfg,
		log:         cfg.Log,
		attestation: limit.New(cfg.Limits.Attestation, cfg.Limits.AttestationAll, cfg.Now),
	}
	a.routes = a.table()
	a.inner = a.router()
	a.handler = a.outer(a.inner)
	return a
}

// ServeHTTP implements http.Handler.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) { a.handler.ServeHTTP(w, r) }

// With returns a handler that serves the API and, at every path outside of it,
// pages: with the same request IDs, headers, log and recovery.
func (a *API) With(pages http.Handler) http.Handler {
	return a.outer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, pathPrefix) {
			a.inner.ServeHTTP(w, r)
			return
		}
		pages.ServeHTTP(w, r)
	}))
}

// pathPrefix is what all paths of the API begin with.
const pathPrefix = "/v1/"

func (a *API) router() http.Handler {
	router := &httprouter.Router{
		HandleMethodNotAllowed: true,
		NotFound:               a.refuse(fail(wire.CodeNotFound, "the API has no such path")),
		MethodNotAllowed:       a.refuse(fail(wire.CodeMethod, "")),
	}
	for _, rt := range a.routes {
		router.Handle(rt.method, rt.path, func(w http.ResponseWriter, r *http.Request, params httprouter.Params) {
			if err := a.serve(w, r, params, rt); err != nil {
				a.answer(r.Context(), w, err)
			}
		})
	}
	return router
}

// refuse answers everything in the same way.
func (a *API) refuse(f *failure) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { a.answer(r.Context(), w, f) })
}

// answer tells the client of an error, as much as it may know, and the log all
// of it. An answer that has begun is cut off.
func (a *API) answer(ctx context.Context, w http.ResponseWriter, err error) {
	f := classify(err)
	level := slog.LevelInfo
	if f.code == wire.CodeInternal || errors.Is(err, store.ErrTampered) {
		level = slog.LevelError
	}
	a.log.Log(ctx, level, "request failed", "request_id", exchangeOf(ctx).id, "code", string(f.code), "error", err.Error())
	if begun, ok := w.(interface{ Begun() bool }); ok && begun.Begun() {
		panic(http.ErrAbortHandler)
	}
	e := exchangeOf(ctx)
	if e.unread {
		// Otherwise the server would wait for the rest before it answers.
		w.Header().Set("Connection", "close")
	}
	if err := writeProblem(w, f, e.id); err != nil {
		a.log.InfoContext(ctx, "problem was not taken", "request_id", exchangeOf(ctx).id, "error", err.Error())
	}
}
