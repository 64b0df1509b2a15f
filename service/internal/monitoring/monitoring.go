// Package monitoring serves what operators and their machines ask of a running
// service: whether it lives, whether it is ready, its metrics and profiles. It
// has a listener of its own, on loopback by default, and no secrets.
package monitoring

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/pprof"
	"time"
)

// Check looks at one thing that the service needs. Its details are for people,
// such as the age of a cache; an error means not ready.
type Check struct {
	Name string
	Run  func(context.Context) (details string, err error)
}

// checkTimeout bounds all checks of one request together.
const checkTimeout = 5 * time.Second

// Handler serves /healthz, /readyz, /metrics and /debug/pprof/, without the command
// line, which may have the password of a database.
func Handler(metrics http.Handler, checks []Check) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, map[string]string{"status": "ok"})
	})
	mux.HandleFunc("GET /readyz", readiness(checks))
	mux.Handle("GET /metrics", metrics)
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	return mux
}

// checked is the JSON of one check.
type checked struct {
	Name    string `json:"name"`
	Ready   bool   `json:"ready"`
	Details string `json:"details,omitempty"`
}

// readiness answers 200 when every check passes and 503 otherwise, with all of
// them in the body.
func readiness(checks []Check) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), checkTimeout)
		defer cancel()
		status, results := http.StatusOK, make([]checked, 0, len(checks))
		for _, check := range checks {
			details, err := check.Run(ctx)
			if err != nil {
				status, details = http.StatusServiceUnavailable, err.Error()
			}
			results = append(results, checked{check.Name, err == nil, details})
		}
		writeJSON(w, status, map[string]any{"ready": status == http.StatusOK, "checks": results})
	}
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(v) //nolint:errcheck // the client went away
}
