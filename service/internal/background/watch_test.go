package background_test

import (
	"context"
	"crypto/x509"
	"errors"
	"log/slog"
	"net/http/httptest"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/kds"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/snp"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/sim"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/sim/simtest"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/audit"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/background"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/keyring"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/metrics"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store/storetest"
)

// world is a watch on a database with keys and an audit log of two records.
type world struct {
	*background.Watch
	t        *testing.T
	metrics  *metrics.Metrics
	database storetest.Database
}

func newKEK(t *testing.T, first byte) *keyring.KEK {
	t.Helper()
	kek, err := keyring.NewKEK(append([]byte{first}, make([]byte, keyring.KEKSize-1)...))
	if err != nil {
		t.Fatal(err)
	}
	return kek
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, metrics: metrics.New(), database: storetest.SQLite(t)}
	s := w.database.Open(t)
	kek := newKEK(t, 1)
	if _, err := keyring.Open(t.Context(), s, kek); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := storetest.Denied("vmpl").Write(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	w.Watch = &background.Watch{
		Store: s, KEK: kek, Cache: s.KDSCache(), Data: t.TempDir(), Gauges: w.metrics.Watched(), Log: slog.New(slog.DiscardHandler),
	}
	return w
}

// value returns what a gauge shows; false when it does not show anything.
func (w *world) value(name string) (float64, bool) {
	w.t.Helper()
	answer := httptest.NewRecorder()
	w.metrics.Handler().ServeHTTP(answer, httptest.NewRequestWithContext(w.t.Context(), "GET", "/metrics", nil))
	m := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(name) + ` (\S+)$`).FindStringSubmatch(answer.Body.String())
	if m == nil {
		return 0, false
	}
	v, err := strconv.ParseFloat(m[1], 64)
	if err != nil {
		w.t.Fatal(err)
	}
	return v, true
}

// shows wants a gauge to show a value.
func (w *world) shows(name string, want float64) {
	w.t.Helper()
	if got, ok := w.value(name); !ok || got != want {
		w.t.Errorf("%s is %v (%t), want %v", name, got, ok, want)
	}
}

func (w *world) exec(statement string) {
	w.t.Helper()
	if _, err := w.database.Raw(w.t).ExecContext(w.t.Context(), statement); err != nil {
		w.t.Fatal(err)
	}
}

// TestVerifyRows takes a row away that decisions rest on: it shows, and no record is
// written any more.
func TestVerifyRows(t *testing.T) {
	w := newWorld(t)
	if err := w.VerifyRows(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, ok := w.value("snpguard_audit_chain_valid"); ok {
		t.Error("it tells of a log that it did not read")
	}
	w.exec(`DELETE FROM secrets WHERE name = 'ca'`)
	if err := w.VerifyRows(t.Context()); !errors.Is(err, store.ErrTampered) {
		t.Errorf("got %v", err)
	}
	w.shows("snpguard_audit_chain_valid", 0)
	if got, err := storetest.Denied("vmpl").Write(t.Context(), w.Store); !errors.Is(err, store.ErrTampered) {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestLook(t *testing.T) {
	w := newWorld(t)
	if _, ok := w.value("snpguard_database_up"); ok {
		t.Error("it shows what it did not look at")
	}
	if err := w.Look(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.shows("snpguard_database_up", 1)
	w.shows("snpguard_kek_current", 1)
	w.shows("snpguard_backup_timestamp_seconds", 0)
	free, _ := w.value("snpguard_data_free_bytes")
	if size, _ := w.value("snpguard_data_size_bytes"); free <= 0 || size < free {
		t.Errorf("%v of %v bytes are free", free, size)
	}

	before := time.Now().Add(-time.Second)
	if err := store.Backup(t.Context(), w.database.DSN, filepath.Join(t.TempDir(), "copy.db")); err != nil {
		t.Fatal(err)
	}
	rotation := keyring.Rotation{From: w.KEK, To: newKEK(t, 2)}
	if _, err := w.Store.Reseal(t.Context(), rotation); err != nil {
		t.Fatal(err)
	}
	if err := w.Look(t.Context()); !errors.Is(err, keyring.ErrWrongKEK) {
		t.Errorf("got %v", err)
	}
	w.shows("snpguard_kek_current", 0)
	if at, _ := w.value("snpguard_backup_timestamp_seconds"); at < float64(before.Unix()) {
		t.Errorf("the backup was made at %v", at)
	}

	w.exec(`ALTER TABLE audit_head RENAME TO away`)
	if err := w.Look(t.Context()); err == nil {
		t.Error("the database is broken")
	}
	w.shows("snpguard_database_up", 0)
}

func TestVerify(t *testing.T) {
	for name, statements := range map[string][]string{
		"changed": {`UPDATE audit SET reason = 'binding' WHERE seq = 1`},
		"cut off": {`DELETE FROM audit WHERE seq = 2`, `UPDATE audit_head SET seq = 1, hash = (SELECT hash FROM audit WHERE seq = 1)`},
	} {
		w := newWorld(t)
		for range 2 {
			if err := w.Verify(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		w.shows("snpguard_audit_chain_valid", 1)
		if at, _ := w.value("snpguard_audit_verified_timestamp_seconds"); at < float64(time.Now().Add(-time.Hour).Unix()) {
			t.Errorf("%s: verified at %v", name, at)
		}
		for _, s := range statements {
			w.exec(s)
		}
		if err := w.Verify(t.Context()); !errors.As(err, new(*audit.BrokenError)) {
			t.Errorf("%s: got %v", name, err)
		}
		w.shows("snpguard_audit_chain_valid", 0)
	}
}

// A log that cannot be read is not a broken one.
func TestVerifyUnreadable(t *testing.T) {
	w := newWorld(t)
	w.exec(`ALTER TABLE audit RENAME TO away`)
	if err := w.Verify(t.Context()); err == nil {
		t.Error("it cannot be read")
	}
	if _, ok := w.value("snpguard_audit_chain_valid"); ok {
		t.Error("it shows what it could not look at")
	}
}

// lists renews nothing and counts who is asked for.
type lists struct{ asked []string }

func (l *lists) CRL(_ context.Context, p snp.Product, signer snp.SigningKey) (*x509.RevocationList, error) {
	l.asked = append(l.asked, string(p)+" "+signer.String())
	return nil, kds.ErrCRLStale
}

func TestRenewLists(t *testing.T) {
	w := newWorld(t)
	if err := w.RenewLists(t.Context()); err != nil {
		t.Errorf("without lists: %v", err)
	}
	key, err := kds.CRLKey(snp.Milan, snp.SignedByVCEK)
	if err != nil {
		t.Fatal(err)
	}
	der, err := simtest.AMD(t).Line(snp.Milan).CRL(sim.CRLBehaviour{}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Cache.Put(t.Context(), key, kds.Entry{Data: der, FetchedAt: time.Now()}); err != nil {
		t.Fatal(err)
	}
	list, err := x509.ParseRevocationList(der)
	if err != nil {
		t.Fatal(err)
	}
	var l lists
	w.Lists = &l
	if err := w.RenewLists(t.Context()); !errors.Is(err, kds.ErrCRLStale) {
		t.Errorf("got %v", err)
	}
	if len(l.asked) != 1 || l.asked[0] != "Milan VCEK" {
		t.Errorf("asked for %q", l.asked)
	}
	w.shows(`snpguard_crl_next_update_timestamp_seconds{product="Milan",signer="VCEK"}`, float64(list.NextUpdate.Unix()))
}

// TestRun looks at everything at once.
func TestRun(t *testing.T) {
	w := newWorld(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { w.Run(ctx); close(done) }()
	for _, name := range []string{"snpguard_database_up", "snpguard_audit_chain_valid"} {
		for ok := false; !ok; _, ok = w.value(name) {
			time.Sleep(time.Millisecond)
		}
		w.shows(name, 1)
	}
	cancel()
	<-done
}
