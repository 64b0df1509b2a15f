package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
)

// Store exposes the figures of a database.
func (m *Metrics) Store(stats func() store.Stats) {
	for _, g := range []struct {
		name, help string
		value      func(store.Stats) float64
	}{
		{"snpguard_database_connections", "Open connections for writing and reading.", func(s store.Stats) float64 {
			return float64(s.Write.OpenConnections + s.Read.OpenConnections)
		}},
		{"snpguard_database_connections_in_use", "Connections in use.", func(s store.Stats) float64 {
			return float64(s.Write.InUse + s.Read.InUse)
		}},
		{"snpguard_audit_records_waiting", "Records waiting to be written.", func(s store.Stats) float64 {
			return float64(s.Waiting)
		}},
	} {
		m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: g.name, Help: g.help},
			func() float64 { return g.value(stats()) }))
	}
	for _, c := range []struct {
		name, help string
		value      func(store.Stats) int64
	}{
		{"snpguard_audit_records_total", "Records written by this process.", func(s store.Stats) int64 { return s.Records }},
		{"snpguard_audit_batches_total", "Transactions that wrote them.", func(s store.Stats) int64 { return s.Batches }},
		{"snpguard_audit_failures_total", "Records that could not be written.", func(s store.Stats) int64 { return s.Failures }},
	} {
		m.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: c.name, Help: c.help},
			func() float64 { return float64(c.value(stats())) }))
	}
}
