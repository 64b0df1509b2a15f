package api_test

import (
	"context"
	"crypto/x509"
	"errors"
	"io"
	"net/http"
	"slices"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/kds"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/snp"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/sim/simtest"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/api"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/oversight"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
)

// newKDS gives a configuration an offline cache of the simulated AMD with one
// entry.
func newKDS(t *testing.T, cfg *api.Config) {
	t.Helper()
	amd := simtest.AMD(t)
	cache, err := kds.OpenFileCache(t.TempDir())
	must(t, err)
	client, err := kds.New(kds.Config{
		Offline: true, Cache: cache, Clock: cfg.Now,
		Roots: func(p snp.Product) []*x509.Certificate { return []*x509.Certificate{amd.Line(p).ARK.Certificate} },
	})
	must(t, err)
	key, err := kds.ChainKey(snp.Milan, snp.SignedByVCEK)
	must(t, err)
	entry := kds.Entry{Data: amd.Line(snp.Milan).ChainPEM(snp.SignedByVCEK), FetchedAt: cfg.Now()}
	must(t, cache.Put(t.Context(), key, entry))
	cfg.Desk.KDS, cfg.Desk.KDSCache = client, cache
	cfg.KDSInfo = wire.KDSStatus{BaseURL: "https://kds.example", Offline: true}
}

func TestKDS(t *testing.T) {
	w := newWorld(t)
	status := into[wire.KDSStatus](w.get("/v1/kds", wire.RoleRead).want(200))
	if len(status.Entries) != 1 || status.Entries[0].Name != "chain-Milan-vcek.pem" || status.BaseURL != "https://kds.example" || !status.Offline {
		t.Errorf("got %+v", status)
	}
	archive := w.get("/v1/kds/export", wire.RoleRead).want(200).body
	imported := into[wire.KDSImported](w.do(call{
		method: "POST", path: "/v1/kds/import", token: w.tokens[wire.RoleAdmin], contentType: "application/gzip", body: archive,
	}).want(200))
	if !slices.Equal(imported.Imported, []string{"chain-Milan-vcek.pem"}) {
		t.Errorf("imported %v", imported)
	}
	if r := w.lastAudit(); r.Reason != "kds.imported" || r.Details["entries"] != "1" || r.Actor == "" {
		t.Errorf("recorded %+v", r)
	}
}

func TestKDSImportRefused(t *testing.T) {
	w := newWorld(t)
	archive := w.get("/v1/kds/export", wire.RoleRead).want(200).body
	changed := slices.Clone(archive)
	changed[len(changed)/2] ^= 1
	for name, body := range map[string][]byte{
		"empty": {}, "not an archive": []byte("hello"), "cut": archive[:len(archive)/2], "changed": changed, "more behind": append(slices.Clone(archive), 0),
	} {
		t.Run(name, func(*testing.T) {
			a := w.do(call{method: "POST", path: "/v1/kds/import", token: w.tokens[wire.RoleAdmin], contentType: "application/gzip", body: body})
			a.problem(wire.CodeUnprocessable)
		})
	}
	if r := into[wire.AuditList](w.get("/v1/audit", wire.RoleRead)); len(r.Records) != 0 {
		t.Errorf("recorded %+v", r)
	}
}

// halfKDS imports one entry and then fails.
type halfKDS struct{ oversight.KDS }

func (k halfKDS) Import(ctx context.Context, r io.Reader) ([]kds.Key, error) {
	keys, err := k.KDS.Import(ctx, r)
	return keys, errors.Join(err, kds.ErrCacheFull)
}

// TestHalfImport records what was imported before the cache failed.
func TestHalfImport(t *testing.T) {
	w := newWorld(t, func(c *api.Config) { c.Desk.KDS = halfKDS{c.Desk.KDS} })
	archive := w.get("/v1/kds/export", wire.RoleRead).want(200).body
	w.do(call{
		method: "POST", path: "/v1/kds/import", token: w.tokens[wire.RoleAdmin], contentType: "application/gzip", body: archive,
	}).problem(wire.CodeUnprocessable)
	if r := w.lastAudit(); r.Reason != "kds.imported" || r.Details["entries"] != "1" {
		t.Errorf("recorded %+v", r)
	}
}

// halfImport imports one entry and then fails, after the client has gone.
type halfImport struct {
	oversight.KDS
	hangUp context.CancelFunc
}

func (h halfImport) Import(ctx context.Context, _ io.Reader) ([]kds.Key, error) {
	h.hangUp()
	<-ctx.Done()
	return make([]kds.Key, 1), ctx.Err()
}

// TestKDSHalfImported wants a record of what has changed, whatever happened then.
func TestKDSHalfImported(t *testing.T) {
	ctx, hangUp := context.WithCancel(t.Context())
	w := newWorld(t, func(c *api.Config) { c.Desk.KDS = halfImport{c.Desk.KDS, hangUp} })
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, w.server.URL+"/v1/kds/import", http.NoBody)
	must(t, err)
	request.Header.Set("Content-Type", "application/gzip")
	request.Header.Set("Authorization", "Bearer "+w.tokens[wire.RoleAdmin])
	if response, err := w.server.Client().Do(request); err == nil {
		response.Body.Close()
	}
	w.server.Close() // waits for the handler
	page, err := w.store.ListAudit(t.Context(), store.AuditFilter{Reason: "kds.imported"}, store.AuditRange{})
	must(t, err)
	if len(page) != 1 || page[0].Details["entries"] != "1" {
		t.Errorf("recorded %+v", page)
	}
}
