package store_test

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store/storetest"
)

// TestPostgresRestart stops the server under load and starts it again. The store
// works on without being opened again, and no acknowledged record is lost.
func TestPostgresRestart(t *testing.T) {
	t.Parallel()
	var own storetest.Cluster
	t.Cleanup(own.Stop)
	d := storetest.Postgres(t, &own)
	s := d.OpenStanding(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var acknowledged, failed atomic.Int64
	done := make(chan struct{})
	launch := storetest.StandingLaunch(t, s)
	for range 8 {
		go func() {
			for ctx.Err() == nil {
				switch decision, err := storetest.GrantedOf(launch).Write(ctx, s); {
				case err == nil && decision.Granted():
					acknowledged.Add(1)
				case ctx.Err() == nil:
					failed.Add(1)
				}
			}
			done <- struct{}{}
		}()
	}
	await := func(more int64) {
		for from := acknowledged.Load(); acknowledged.Load() < from+more; {
			time.Sleep(time.Millisecond)
		}
	}
	for range 2 {
		await(50)
		own.Halt()
		if err := own.Start(); err != nil {
			t.Fatal(err)
		}
		if _, err := s.ListImages(t.Context(), store.ImageFilter{}); err != nil {
			t.Errorf("a read after the restart: %v", err)
		}
	}
	await(50)
	cancel()
	for range 8 {
		<-done
	}
	head, err := s.VerifyAudit(t.Context(), 1, nil)
	if err != nil || head.Seq < acknowledged.Load() {
		t.Errorf("%s, %v; %d were acknowledged, %d failed", head, err, acknowledged.Load(), failed.Load())
	}
}

// TestPostgresDurability sets what would let a commit return too early.
func TestPostgresDurability(t *testing.T) {
	for setting, want := range map[string]string{"off": "on", "on": "on", "local": "local", "remote_apply": "remote_apply"} {
		d := withParameter(t, storetest.Postgres(t, &cluster), "synchronous_commit", setting)
		if got := store.SynchronousCommit(t, d.Open(t)); got != want {
			t.Errorf("%s: got %s, want %s", setting, got, want)
		}
	}
}

func withParameter(t *testing.T, d storetest.Database, name, value string) storetest.Database {
	t.Helper()
	u, err := url.Parse(d.DSN)
	if err != nil {
		t.Fatal(err)
	}
	query := u.Query()
	query.Set(name, value)
	u.RawQuery = query.Encode()
	return storetest.Database{DSN: u.String()}
}

// TestPostgresTimeouts blocks a table. The change is given up in time, and the
// time can be set by the URL.
func TestPostgresTimeouts(t *testing.T) {
	d := withParameter(t, storetest.Postgres(t, &cluster), "lock_timeout", "50ms")
	s := d.OpenStanding(t)
	tx, err := d.Raw(t).BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.ExecContext(t.Context(), `UPDATE audit_head SET seq = seq`); err != nil {
		t.Fatal(err)
	}
	if decision, err := storetest.Granted(t, s).Write(t.Context(), s); err == nil || !strings.Contains(err.Error(), "lock timeout") {
		t.Errorf("got %+v, %v", decision, err)
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	if decision, err := storetest.Granted(t, s).Write(t.Context(), s); err != nil || !decision.Granted() {
		t.Errorf("got %+v, %v", decision, err)
	}
}

// TestPostgresSecretInError checks that a password stays out of messages.
func TestPostgresSecretInError(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	for _, dsn := range []string{"postgres://user:hunter2@%zz/", "postgres://user:hunter2@127.0.0.1:1/db", "postgres://user:hunter2@127.0.0.1:1/db?sslmode=what"} {
		_, err := store.Open(ctx, dsn, store.Options{})
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("got %v", err)
		}
	}
}

// TestPostgresAway opens a database whose server does not run.
func TestPostgresAway(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := store.Open(ctx, "postgres://%2Fnonexistent/db", store.Options{}); err == nil || errors.Is(err, store.ErrInvalid) {
		t.Errorf("got %v", err)
	}
}
