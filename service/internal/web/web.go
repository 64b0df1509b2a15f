package web

import (
	"context"
	"crypto/x509"
	"html/template"
	"log/slog"
	"net/http"
	"time"

	"github.com/julienschmidt/httprouter"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/attest"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/kds"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/snp"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/access"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/audit"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
)

// Store is what pages read; *store.Store is one.
type Store interface {
	Count(ctx context.Context) (store.Counts, error)
	UnlockCounts(ctx context.Context, since time.Time) ([]store.UnlockCount, error)
	ListReplicas(ctx context.Context) ([]store.Replica, error)

	ListImages(ctx context.Context, filter store.ImageFilter) (store.Page[store.Image], error)
	CountImages(ctx context.Context, filter store.ImageFilter) (int64, error)
	ImageByID(ctx context.Context, id wire.UUID) (store.Image, error)
	ImageNames(ctx context.Context, images []wire.UUID) (map[wire.UUID]string, error)
	ImageActivity(ctx context.Context, images []store.Image) (map[wire.UUID]store.ImageActivity, error)
	ListReleases(ctx context.Context, image wire.UUID) ([]store.Release, error)
	ReleaseByID(ctx context.Context, id wire.UUID) (store.Release, error)
	FindLaunch(ctx context.Context, idKey, authorKey [48]byte, release wire.UUID) (store.Launch, error)

	AuditHead(ctx context.Context) (audit.Head, error)
	ListAudit(ctx context.Context, filter store.AuditFilter, page store.AuditRange) ([]audit.Entry, error)
	TokenByID(ctx context.Context, id wire.UUID) (store.Token, error)
	ListTokens(ctx context.Context, filter store.TokenFilter) (store.Page[store.Token], error)
	CountTokens(ctx context.Context) (int64, error)
}

// Sessions finds out whose session a secret is; *access.Sessions is one.
type Sessions interface {
	Authenticate(ctx context.Context, secret string) (access.Principal, error)
}

// KDSCache is the cache of AMD's certificates; *store.KDSCache is one.
type KDSCache interface {
	Get(ctx context.Context, key kds.Key) (kds.Entry, error)
	Counts(ctx context.Context) (store.KDSCounts, error)
}

// Endorser finds the certificates of a report that is inspected and knows which
// are revoked; certchain.Source is one.
type Endorser interface {
	Chains(ctx context.Context, asker kds.Asker, r *snp.Report, vek []byte) ([]attest.Chain, error)
	CheckRevocation(ctx context.Context, v *attest.Verified) error
}

// Config is what the dashboard is made of. All of it is needed but CA and Now.
type Config struct {
	API      http.Handler // makes every change
	Store    Store
	Sessions Sessions
	KDSCache KDSCache
	Verifier *attest.Verifier
	Endorser Endorser

	Info    wire.PublicInfo
	Status  wire.Status    // Version, StartedAt, Database and Warnings
	KDS     wire.KDSStatus // BaseURL and Offline
	CRL     string         // what is done without a current revocation list
	Replica wire.UUID      // this process

	Certificate func() (*x509.Certificate, error) // of the server, as it is now
	CA          *x509.Certificate                 // that issued it; nil for the operator's own

	MaxUpload int64 // bytes of a registration
	Log       *slog.Logger
	Now       func() time.Time // time.Now when nil
}

// Web serves the dashboard.
type Web struct {
	Config
	pages   map[string]*template.Template // by the name of their file
	assets  map[string]asset              // by the path under which they are served
	origins *http.CrossOriginProtection
	router  *httprouter.Router
}

// New makes the dashboard. The error is a template that cannot be read.
func New(cfg Config) (*Web, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	w := &Web{Config: cfg, origins: http.NewCrossOriginProtection()}
	var err error
	if w.assets, err = readAssets(); err != nil {
		return nil, err
	}
	if w.pages, err = w.readTemplates(); err != nil {
		return nil, err
	}
	w.router = &httprouter.Router{HandleMethodNotAllowed: true}
	w.router.NotFound = w.handler(route{path: "", public: true, handle: w.notFound})
	w.router.MethodNotAllowed = w.handler(route{path: "", public: true, handle: w.wrongMethod})
	for _, rt := range w.table() {
		w.router.Handle(rt.method, rt.path, func(rw http.ResponseWriter, r *http.Request, params httprouter.Params) {
			w.serve(rw, r, params, rt)
		})
	}
	return w, nil
}

// ServeHTTP implements http.Handler.
func (w *Web) ServeHTTP(rw http.ResponseWriter, r *http.Request) { w.router.ServeHTTP(rw, r) }

func (w *Web) handler(rt route) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { w.serve(rw, r, nil, rt) })
}
