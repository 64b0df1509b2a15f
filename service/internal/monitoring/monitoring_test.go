package monitoring_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/kds"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/metrics"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/monitoring"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/unlock"
)

func get(t *testing.T, h http.Handler, path string) (status int, body string) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	return w.Code, w.Body.String()
}

func TestReadiness(t *testing.T) {
	var database error
	h := monitoring.Handler(http.NotFoundHandler(), []monitoring.Check{
		{"keys", func(context.Context) (string, error) { return "", nil }},
		{"database", func(context.Context) (string, error) { return "sqlite", database }},
	})
	if status, body := get(t, h, "/readyz"); status != 200 || !strings.Contains(body, `"details":"sqlite"`) || !strings.Contains(body, `"ready":true`) {
		t.Errorf("got %d %s", status, body)
	}
	database = errors.New("connection refused")
	if status, body := get(t, h, "/readyz"); status != 503 || !strings.Contains(body, "connection refused") || !strings.Contains(body, `{"name":"keys","ready":true}`) {
		t.Errorf("got %d %s", status, body)
	}
	// Being alive does not depend on the database: a restart would not help.
	if status, _ := get(t, h, "/healthz"); status != 200 {
		t.Errorf("got %d", status)
	}
}

func TestProfiles(t *testing.T) {
	h := monitoring.Handler(http.NotFoundHandler(), nil)
	if status, body := get(t, h, "/debug/pprof/goroutine?debug=1"); status != 200 || !strings.Contains(body, "goroutine profile") {
		t.Errorf("got %d %.100s", status, body)
	}
	// The command line may have the password of a database.
	if status, body := get(t, h, "/debug/pprof/cmdline"); status != http.StatusNotFound {
		t.Errorf("command line: got %d %.100s", status, body)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/readyz", nil))
	if w.Code != http.StatusMethodNotAllowed {
		t.Errorf("POST: got %d", w.Code)
	}
}

// cache answers every lookup with one error.
type cache struct {
	kds.Cache
	err error
}

func (c *cache) Get(context.Context, kds.Key) (kds.Entry, error) { return kds.Entry{}, c.err }

func TestMetrics(t *testing.T) {
	m := metrics.New()
	m.Unlock("granted", "granted", 2*time.Millisecond)
	m.Unlock("denied", "measurement", time.Millisecond)
	m.Request("/v1/images/:id", "GET", 404)
	m.Rollback(unlock.RollbackReported)
	m.Simulated()
	m.Store(func() store.Stats { return store.Stats{Waiting: 3, Records: 7, Batches: 2} })
	m.KDSRefused(kds.BudgetUnknown)
	looked := &cache{}
	counted := m.KDSCache(looked)
	for _, looked.err = range []error{nil, kds.ErrNotCached, errors.New("disk")} {
		counted.Get(t.Context(), kds.Key{}) //nolint:errcheck // what is counted matters
	}
	server := httptest.NewServer(http.NotFoundHandler())
	client := &http.Client{Transport: m.KDSTransport(http.DefaultTransport)}
	for range 2 {
		if response, err := client.Get(server.URL); err == nil {
			response.Body.Close()
		}
		server.Close() // the second request finds nobody
	}
	_, body := get(t, monitoring.Handler(m.Handler(), nil), "/metrics")
	for _, line := range []string{
		`snpguard_unlocks_total{outcome="granted",reason="granted"} 1`,
		`snpguard_unlocks_total{outcome="denied",reason="measurement"} 1`,
		`snpguard_unlock_seconds_count{outcome="granted"} 1`,
		`snpguard_rollbacks_total{became="reported"} 1`,
		`snpguard_rollbacks_total{became="allowed"} 0`,
		`snpguard_rollbacks_total{became="denied"} 0`,
		`snpguard_http_requests_total{method="GET",route="/v1/images/:id",status="404"} 1`,
		`snpguard_kds_requests_total{status="404"} 1`,
		`snpguard_kds_requests_total{status="error"} 1`,
		`snpguard_kds_cache_lookups_total{result="hit"} 1`,
		`snpguard_kds_cache_lookups_total{result="miss"} 1`,
		`snpguard_kds_cache_lookups_total{result="error"} 1`,
		`snpguard_kds_refused_total{budget="unknown"} 1`,
		`snpguard_simulated_root 1`,
		`snpguard_audit_records_waiting 3`,
		`snpguard_audit_records_total 7`,
		`snpguard_audit_batches_total 2`,
		`snpguard_database_connections 0`,
		`snpguard_build_info{revision=`,
		`go_goroutines`,
	} {
		if !strings.Contains(body, line) {
			t.Errorf("%s is missing", line)
		}
	}
}
