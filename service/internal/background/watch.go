package background

import (
	"context"
	"crypto/x509"
	"errors"
	"log/slog"
	"time"

	"golang.org/x/sys/unix"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/kds"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/snp"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/audit"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/keyring"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/metrics"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
)

// How often things are looked at. All records of the log are read to verify it, and
// all images, releases and tokens to add them up.
const (
	lookEvery   = time.Minute
	rowsEvery   = 10 * time.Minute
	listsEvery  = 10 * time.Minute
	verifyEvery = 24 * time.Hour
)

// Lists renews revocation lists when they are due; *kds.Client does.
type Lists interface {
	CRL(ctx context.Context, p snp.Product, signer snp.SigningKey) (*x509.RevocationList, error)
}

// Watch looks now and then at what no request shows, for the metrics: whether the
// database answers, the KEK is the one in force, revocation lists are current, the
// audit log is whole, how old the last backup is and how much room there is. It judges
// nothing but that; alerts do (deploy/prometheus/). All fields are needed but Lists,
// which is nil where revocation does not matter.
type Watch struct {
	Store  *store.Store
	KEK    *keyring.KEK
	Cache  kds.Cache
	Lists  Lists
	Data   string // directory
	Gauges *metrics.Watched
	Log    *slog.Logger

	head audit.Head // of the last verification
}

// Run looks at everything at once and then each at its time, until ctx ends. What
// fails is logged.
func (w *Watch) Run(ctx context.Context) {
	var lists, verified time.Time
	rows := time.Now() // they were added up when the database was opened
	every(ctx, lookEvery, func(ctx context.Context) error {
		steps := []func(context.Context) error{w.Look}
		if time.Since(lists) >= listsEvery {
			steps, lists = append(steps, w.RenewLists), time.Now()
		}
		if time.Since(rows) >= rowsEvery {
			steps, rows = append(steps, w.VerifyRows), time.Now()
		}
		if time.Since(verified) >= verifyEvery {
			steps, verified = append(steps, w.Verify), time.Now()
		}
		var failures error
		for _, step := range steps {
			failures = errors.Join(failures, step(ctx))
		}
		return failures
	}, func(err error) { w.Log.Error("watch", "error", err) })
}

// Look looks at what costs nothing.
func (w *Watch) Look(ctx context.Context) error {
	pingErr := w.Store.Ping(ctx)
	w.Gauges.Database(pingErr == nil)
	kekErr := w.KEK.Fits(ctx, w.Store)
	if kekErr == nil || errors.Is(kekErr, keyring.ErrWrongKEK) {
		w.Gauges.KEK(kekErr == nil)
	}
	var backupErr error
	if w.Store.Backend() == store.SQLite { // others have backups of their own
		var at time.Time
		if at, backupErr = w.Store.LastBackup(ctx); backupErr == nil {
			w.Gauges.Backup(at)
		}
	}
	var fs unix.Statfs_t
	statErr := unix.Statfs(w.Data, &fs)
	if statErr == nil {
		block := uint64(fs.Bsize)
		w.Gauges.Space(fs.Bavail*block, fs.Blocks*block)
	}
	return errors.Join(pingErr, kekErr, backupErr, statErr)
}

// RenewLists renews the revocation lists that are in use, so that none is found
// outdated by a guest, and shows until when they are good.
func (w *Watch) RenewLists(ctx context.Context) error {
	if w.Lists == nil {
		return nil
	}
	entries, err := w.Cache.List(ctx)
	for _, e := range entries {
		if e.Key.Kind != kds.KindCRL {
			continue
		}
		_, renewErr := w.Lists.CRL(ctx, e.Key.Product, e.Key.Signer)
		err = errors.Join(err, renewErr)
		// An outdated one is shown, too.
		entry, getErr := w.Cache.Get(ctx, e.Key)
		if list, parseErr := x509.ParseRevocationList(entry.Data); getErr == nil && parseErr == nil {
			w.Gauges.RevocationList(string(e.Key.Product), e.Key.Signer.String(), list.NextUpdate)
		}
	}
	return err
}

// VerifyRows checks what decisions rest on. Once it is not as the service wrote it,
// the store gives no key any more.
func (w *Watch) VerifyRows(ctx context.Context) error {
	err := w.Store.VerifyRows(ctx)
	if errors.Is(err, store.ErrTampered) || errors.Is(err, store.ErrCorrupt) {
		w.Gauges.Chain(false, time.Now())
	}
	return err
}

// Verify verifies the audit log, and that it still holds what was its end the last
// time. A log that cannot be read shows nothing new.
func (w *Watch) Verify(ctx context.Context) error {
	head, err := w.Store.VerifyAudit(ctx, 1, nil)
	if err == nil && w.head.Seq > 0 {
		err = w.Store.VerifyAuditAgainst(ctx, w.head)
	}
	var broken *audit.BrokenError
	if err != nil && !errors.As(err, &broken) {
		return err
	}
	w.Gauges.Chain(err == nil, time.Now())
	if err == nil {
		w.head = head
	}
	return err
}
