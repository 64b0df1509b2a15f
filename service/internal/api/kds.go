package api

import (
	"context"
	"io"
	"net/http"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/access"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/oversight"
)

func (a *API) showKDS(w http.ResponseWriter, r *request) error {
	entries, err := a.Desk.Cached(r.Context(), r.actor)
	if err != nil {
		return err
	}
	status := wire.KDSStatus{BaseURL: a.KDSInfo.BaseURL, Offline: a.KDSInfo.Offline, Entries: []wire.KDSEntry{}}
	for _, e := range entries {
		status.Entries = append(status.Entries, wire.KDSEntry{Name: e.Key.String(), Size: e.Size, FetchedAt: e.FetchedAt.UTC()})
	}
	return writeJSON(w, http.StatusOK, status)
}

func (a *API) exportKDS(w http.ResponseWriter, r *request) error {
	ctx, cancel := context.WithTimeout(r.Context(), slow)
	defer cancel()
	return SendKDS(ctx, w, a.Limits.Pace.Writer(w, r.control), a.Desk, r.actor)
}

// SendKDS sends the cache of AMD's certificates, by out.
func SendKDS(ctx context.Context, w http.ResponseWriter, out io.Writer, desk *oversight.Desk, actor access.Actor) error {
	return desk.ExportKDS(ctx, actor, func() { attach(w, typeGzip, "kds-cache.tar.gz") }, out)
}

func (a *API) importKDS(w http.ResponseWriter, r *request) error {
	body := &ClientReader{Reader: a.Limits.Pace.Reader(r.Body, r.control)}
	keys, err := a.Desk.ImportKDS(r.Context(), r.actor, body)
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
