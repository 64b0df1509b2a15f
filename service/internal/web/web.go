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
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/api"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/oversight"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/registry"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
)

// Endorser finds the certificates of a report that is inspected and knows which
// are revoked; certchain.Source is one.
type Endorser interface {
	Chains(ctx context.Context, asker kds.Asker, r *snp.Report, vek []byte) ([]attest.Chain, error)
	CheckRevocation(ctx context.Context, v *attest.Verified) error
}

// Config is what the dashboard is made of. All of it is needed but CA and Now.
type Config struct {
	Store    *store.Store // that pages read
	Registry *registry.Registry
	Accounts *access.Accounts
	Desk     *oversight.Desk
	KDSCache *store.KDSCache
	Pace     api.Pace // of uploads and downloads
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
	cfg     Config
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
	w := &Web{cfg: cfg, origins: http.NewCrossOriginProtection()}
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
