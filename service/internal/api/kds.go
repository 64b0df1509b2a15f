package api

import (
	"context"
	"errors"
	"net/http"
	"strconv"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

func (a *API) showKDS(w http.ResponseWriter, r *request) error {
	entries, err := a.KDSCache.List(r.Context())
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
	leave, err := a.exports.enter(r)
	if err != nil {
		return err
	}
	defer leave()
	ctx, cancel := context.WithTimeout(r.Context(), slow)
	defer cancel()
	attach(w, typeGzip, "kds-cache.tar.gz")
	_, _, err = a.KDS.Export(ctx, newPacedWriter(w, r.control, a.pace))
	return err
}

func (a *API) importKDS(w http.ResponseWriter, r *request) error {
	leave, err := a.exports.enter(r)
	if err != nil {
		return err
	}
	defer leave()
	body := &clientReader{Reader: newPacedReader(r.Body, r.control, a.pace)}
	keys, err := a.KDS.Import(r.Context(), body)
	if recordErr := a.recordImport(r, len(keys)); recordErr != nil {
		return errors.Join(err, recordErr)
	}
	if body.err != nil {
		return bodyError(body.err)
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

// recordImport puts on record what was imported, even if the rest failed or the
// client went away meanwhile.
func (a *API) recordImport(r *request, entries int) error {
	if entries == 0 {
		return nil
	}
	record := r.audit(reasonKDSImported)
	record.Details = map[string]string{"entries": strconv.Itoa(entries)}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), quick)
	defer cancel()
	_, err := a.Store.RecordAdmin(ctx, record)
	return err
}
