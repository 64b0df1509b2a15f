package api

import (
	_ "embed"
	"fmt"
	"net/http"
)

func (a *API) showStatus(w http.ResponseWriter, r *request) error {
	now, err := a.cfg.Desk.Status(r.Context(), r.actor)
	if err != nil {
		return err
	}
	status := a.cfg.Status
	status.Images, status.Releases, status.Audit = now.Images, now.Releases, wireHead(now.Head)
	if status.Warnings == nil {
		status.Warnings = []string{}
	}
	return writeJSON(w, http.StatusOK, status)
}

// openAPIDocument describes the API for programs. A test keeps it true.
//
//go:embed openapi.json
var openAPIDocument []byte

func (a *API) openAPI(w http.ResponseWriter, _ *request) error {
	w.Header().Set("Content-Type", typeJSON)
	if _, err := w.Write(openAPIDocument); err != nil {
		return fmt.Errorf("write answer: %w", err)
	}
	return nil
}
