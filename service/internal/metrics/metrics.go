// Package metrics counts what the service does, for Prometheus. Names start
// with snpguard_; labels hold stable codes only, never bytes from outside.
package metrics

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/kds"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/unlock"
	"github.com/snpguard-go/packer-plugin-snpguard/version"
)

// Metrics holds the service's counters.
type Metrics struct {
	registry  *prometheus.Registry
	unlocks   *prometheus.CounterVec
	latency   *prometheus.HistogramVec
	rollbacks *prometheus.CounterVec
	requests  *prometheus.CounterVec
	kdsCalls  *prometheus.CounterVec
	kdsLooks  *prometheus.CounterVec
	kdsBudget *prometheus.CounterVec
	simulated prometheus.Gauge
}

// New returns counters that start at zero.
func New() *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		unlocks: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "snpguard_unlocks_total", Help: "Unlock requests by outcome and reason.",
		}, []string{"outcome", "reason"}),
		latency: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "snpguard_unlock_seconds", Help: "Time to decide an unlock request, its durable record included.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2, 14),
		}, []string{"outcome"}),
		rollbacks: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "snpguard_rollbacks_total", Help: "Unlocks whose disk showed an older generation of its instance than was committed: reported, allowed or denied.",
		}, []string{"became"}),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "snpguard_http_requests_total", Help: "Answered API requests by route, method and status.",
		}, []string{"route", "method", "status"}),
		kdsCalls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "snpguard_kds_requests_total", Help: "Requests to AMD's KDS by HTTP status, or error when there was no answer.",
		}, []string{"status"}),
		kdsLooks: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "snpguard_kds_cache_lookups_total", Help: "Lookups in the certificate cache by result: hit, miss or error.",
		}, []string{"result"}),
		kdsBudget: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "snpguard_kds_refused_total", Help: "Certificates not fetched because a request budget for untrusted clients was used up: unknown, seen or chip.",
		}, []string{"budget"}),
		simulated: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "snpguard_simulated_root", Help: "1 while a simulated AMD is trusted.",
		}),
	}
	for _, became := range []unlock.Rollback{unlock.RollbackReported, unlock.RollbackAllowed, unlock.RollbackDenied} {
		m.rollbacks.WithLabelValues(string(became)) // shown before there is any
	}
	for _, name := range []string{kds.BudgetUnknown, kds.BudgetSeen, kds.BudgetChip} {
		m.kdsBudget.WithLabelValues(name) // shown before anybody is refused
	}
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "snpguard_build_info", Help: "Always 1.",
		ConstLabels: prometheus.Labels{"version": version.String(), "revision": version.Revision()},
	})
	build.Set(1)
	m.registry.MustRegister(m.unlocks, m.latency, m.rollbacks, m.requests, m.kdsCalls, m.kdsLooks, m.kdsBudget, m.simulated, build,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Handler serves the counters.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}

// Unlock counts a request by its outcome: granted, denied or undecided.
func (m *Metrics) Unlock(outcome, reason string, took time.Duration) {
	m.unlocks.WithLabelValues(outcome, reason).Inc()
	m.latency.WithLabelValues(outcome).Observe(took.Seconds())
}

// Rollback counts an unlock whose disk showed an older generation, by what became of it.
func (m *Metrics) Rollback(became unlock.Rollback) {
	m.rollbacks.WithLabelValues(string(became)).Inc()
}

// Request counts an answered API request. route is a pattern, not a path.
func (m *Metrics) Request(route, method string, status int) {
	m.requests.WithLabelValues(route, method, strconv.Itoa(status)).Inc()
}

// Simulated shows that a simulated AMD is trusted.
func (m *Metrics) Simulated() { m.simulated.Set(1) }

// KDSTransport counts the requests that go through next.
func (m *Metrics) KDSTransport(next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(r *http.Request) (*http.Response, error) {
		response, err := next.RoundTrip(r)
		status := "error"
		if err == nil {
			status = strconv.Itoa(response.StatusCode)
		}
		m.kdsCalls.WithLabelValues(status).Inc()
		return response, err
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// KDSRefused counts a certificate that was not fetched, by the name of the budget.
func (m *Metrics) KDSRefused(budget string) { m.kdsBudget.WithLabelValues(budget).Inc() }

// KDSCache counts the lookups in a cache.
func (m *Metrics) KDSCache(next kds.Cache) kds.Cache { return countingCache{next, m.kdsLooks} }

type countingCache struct {
	kds.Cache
	looks *prometheus.CounterVec
}

func (c countingCache) Get(ctx context.Context, key kds.Key) (kds.Entry, error) {
	entry, err := c.Cache.Get(ctx, key)
	switch {
	case err == nil:
		c.looks.WithLabelValues("hit").Inc()
	case errors.Is(err, kds.ErrNotCached):
		c.looks.WithLabelValues("miss").Inc()
	default:
		c.looks.WithLabelValues("error").Inc()
	}
	return entry, err
}
