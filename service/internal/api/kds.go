package api

import (
	"context"
	"net/http"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/access"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/oversight"
)

func (a *API) showKDS(w http.ResponseWriter, r *request) error {
	entries, err := a.cfg.Desk.Cached(r.Context(), r.actor)
	if err != nil {
		return err
	}
	status := wire.KDSStatus{BaseURL: a.cfg.KDSInfo.BaseURL, Offline: a.cfg.KDSInfo.Offline, Entries: []wire.KDSEntry{}}
	for _, e := range entries {
		status.Entries = append(status.Entries, wire.KDSEntry{Name: e.Key.String(), Size: e.Size, FetchedAt: e.FetchedAt.UTC()})
	}
	return writeJSON(w, http.StatusOK, status)
}

func (a *API) exportKDS(w http.ResponseWriter, r *request) error {
	ctx, cancel := context.WithTimeout(r.Context(), slow)
	defer cancel()
	return SendKDS(ctx, a.cfg.Limits.Pace.Writer(w, r.control), a.cfg.Desk, r.actor)
}

// SendKDS sends the cache of AMD's certificates.
func SendKDS(ctx context.Context, w http.ResponseWriter, desk *oversight.Desk, actor access.Actor) error {
	return desk.ExportKDS(ctx, actor, func() { attach(w, typeGzip, "kds-cache.tar.gz") }, w)
}

func (a *API) importKDS(w http.ResponseWriter, r *request) error {
	body := &ClientReader{Reader: a.cfg.Limits.Pace.Reader(r.Body, r.control)}
	keys, err := a.cfg.Desk.ImportKDS(r.Context(), r.actor, body)
	if body.Err != nil {
		return bodyError(body.Err)
	}
	if err != nil {
		return err
	}
	imported := wire.KDSImported{Imported: []string{}}
	for _, k := range keys {
		imported.Imported = append(imported.Imported, k.String())
	}
	return writeJSON(w, http.StatusOK, imported)
}
