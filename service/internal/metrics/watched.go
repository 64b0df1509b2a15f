package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Watched are gauges of what no request shows. Each appears when it is set for the
// first time: what was not looked at yet is neither good nor bad.
type Watched struct {
	database, kek, chain, verified, backup, free, size *prometheus.GaugeVec
	lists                                              *prometheus.GaugeVec
}

// Watched adds the gauges.
func (m *Metrics) Watched() *Watched {
	gauge := func(name, help string, labels ...string) *prometheus.GaugeVec {
		g := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, labels)
		m.registry.MustRegister(g)
		return g
	}
	return &Watched{
		database: gauge("snpguard_database_up", "1 while the database answers."),
		kek:      gauge("snpguard_kek_current", "0 after the key-encryption key was rotated, until this replica is restarted with the new one."),
		chain:    gauge("snpguard_audit_chain_valid", "0 when the last verification found the audit log broken."),
		verified: gauge("snpguard_audit_verified_timestamp_seconds", "When the audit log was last verified as a whole."),
		backup:   gauge("snpguard_backup_timestamp_seconds", "When --backup last copied this SQLite database; 0 for never."),
		free:     gauge("snpguard_data_free_bytes", "Free space below --data."),
		size:     gauge("snpguard_data_size_bytes", "Size of the file system below --data."),
		lists:    gauge("snpguard_crl_next_update_timestamp_seconds", "When the cached revocation list expires.", "product", "signer"),
	}
}

// Database shows whether the database answers.
func (w *Watched) Database(up bool) { set(w.database, number(up)) }

// KEK shows whether the key-encryption key is the one in force.
func (w *Watched) KEK(current bool) { set(w.kek, number(current)) }

// Chain shows whether the audit log was whole at a time.
func (w *Watched) Chain(valid bool, at time.Time) {
	set(w.chain, number(valid))
	set(w.verified, seconds(at))
}

// Backup shows when the last backup was made; the zero time is never.
func (w *Watched) Backup(at time.Time) { set(w.backup, seconds(at)) }

// Space shows the room for data in bytes.
func (w *Watched) Space(free, size uint64) {
	set(w.free, float64(free))
	set(w.size, float64(size))
}

// RevocationList shows until when a list is current.
func (w *Watched) RevocationList(product, signer string, next time.Time) {
	w.lists.WithLabelValues(product, signer).Set(seconds(next))
}

func set(g *prometheus.GaugeVec, value float64) { g.WithLabelValues().Set(value) }

// ServerCertificate shows when the certificate expires that clients see. Without
// one it is 0, long ago.
func (m *Metrics) ServerCertificate(expires func() (time.Time, error)) {
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "snpguard_tls_certificate_expiry_timestamp_seconds", Help: "When the server certificate expires.",
	}, func() float64 {
		at, err := expires()
		if err != nil {
			return 0
		}
		return seconds(at)
	}))
}

func number(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

func seconds(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixMilli()) / 1000
}
