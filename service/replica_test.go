package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/client"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store/storetest"
)

// replicas are two services on one database. They share a KEK and nothing else.
type replicas struct {
	*simulation
	first, second *process
	login         *client.Login
	a, b          *client.Client
	image         *registered
}

func startReplicas(t *testing.T) *replicas {
	t.Helper()
	var cluster storetest.Cluster
	t.Cleanup(cluster.Stop)
	dsn := storetest.Postgres(t, &cluster).DSN
	s, dir := simulate(t), t.TempDir()
	kek := filepath.Join(dir, "kek")
	flags := func(name string) []string {
		return s.flags("--data", filepath.Join(dir, name), "--kek-file", kek, "--database", dsn, "--rate-per-address", "100000", "--rate-total", "100000")
	}
	r := &replicas{simulation: s, first: start(t, flags("first")...)}
	r.second = start(t, flags("second")...)
	r.a, r.login = login(t, r.first)
	onSecond := *r.login
	onSecond.URL = r.second.url
	var err error
	if r.b, err = onSecond.Client(); err != nil {
		t.Fatal(err)
	}
	r.image = register(t, r.a, r.login.IngestionKey, nil)
	return r
}

// TestReplicas takes a challenge from one replica to the other, and exports from
// one what was uploaded to the other.
func TestReplicas(t *testing.T) {
	r := startReplicas(t)
	g := r.image.launch(t, r.host)
	challenge, err := r.a.Challenge(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	request := g.Request(t, challenge.Nonce)
	grant, err := r.b.Unlock(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	if vmk, err := g.Open(request, grant, r.login.IdentityKey); err != nil || !bytes.Equal(vmk, r.image.VMK) {
		t.Errorf("the guest has %x, %v", vmk, err)
	}
	_, err = r.a.Unlock(t.Context(), request)
	checkDenied(t, err) // the nonce was used up on the other replica
	bundle := client.BundleRequest{Image: r.image.ID, Release: r.image.answer.Release.ID, Format: "tar"}
	if err := r.b.Bundle(t.Context(), bundle, io.Discard); err != nil {
		t.Error(err)
	}
}

// TestReplicaKilledUnderLoad kills one replica while guests boot. Every guest
// that got its key has its record, and the chain is whole.
func TestReplicaKilledUnderLoad(t *testing.T) {
	r := startReplicas(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var grants atomic.Int64
	var wg sync.WaitGroup
	for i := range 8 {
		c := []*client.Client{r.a, r.b}[i%2]
		wg.Go(func() {
			for range 30 {
				if !bootOne(ctx, t, r, c, &grants) {
					return
				}
			}
		})
	}
	for grants.Load() < 40 && ctx.Err() == nil {
		time.Sleep(time.Millisecond)
	}
	r.second.kill()
	wg.Wait()
	records, err := r.a.Audit(ctx, client.AuditFilter{Outcome: "granted"})
	if err != nil {
		t.Fatal(err)
	}
	if got := int64(len(records)); got < grants.Load() || got > grants.Load()+4 {
		t.Errorf("%d guests have their keys, the log has %d grants; at most the 4 under way on the killed replica may differ", grants.Load(), got)
	}
	if v, err := r.a.VerifyAudit(ctx, wire.AuditHead{}); err != nil || !v.Valid {
		t.Errorf("audit log: %+v, %v", v, err)
	}
}

// bootOne boots a guest and reports whether its replica still answers.
func bootOne(ctx context.Context, t *testing.T, r *replicas, c *client.Client, grants *atomic.Int64) bool {
	g, err := r.image.newGuest(r.host)
	if err != nil {
		t.Error(err)
		return false
	}
	switch _, err = boot(ctx, c, g, r.login.IdentityKey); {
	case err == nil:
		grants.Add(1)
		return true
	case errors.As(err, new(*wire.Problem)):
		t.Errorf("refused: %v", err)
	}
	return false
}

// TestRestoredBackup brings back database, KEK and artifacts on another machine,
// as docs/operations.md says, and unlocks there.
func TestRestoredBackup(t *testing.T) {
	s, dir := simulate(t), t.TempDir()
	data, backup, restored := filepath.Join(dir, "data"), filepath.Join(dir, "backup"), filepath.Join(dir, "restored")
	p := start(t, s.flags("--data", data)...)
	c, l := login(t, p)
	image := register(t, c, l.IngestionKey, nil)
	if err := os.Mkdir(backup, 0o700); err != nil {
		t.Fatal(err)
	}
	if saved := launch(t, "--data", data, "--backup", filepath.Join(backup, "snpguard.db")); saved.url != "" {
		t.Fatal("--backup serves")
	} else if <-saved.waited; saved.exitedState != nil {
		t.Fatalf("backup: %v\n%s", saved.exitedState, saved.log.String())
	}
	copyTree(t, filepath.Join(data, "artifacts"), filepath.Join(backup, "artifacts"))
	copyTree(t, filepath.Join(data, "kek"), filepath.Join(backup, "kek"))
	p.kill()
	if err := os.RemoveAll(data); err != nil {
		t.Fatal(err)
	}
	copyTree(t, backup, restored)

	again := start(t, s.flags("--data", restored)...)
	if again.password != "" {
		t.Error("the restored service made a new password")
	}
	l.URL = again.url
	if c, err := l.Client(); err != nil {
		t.Error(err)
	} else if vmk, err := boot(t.Context(), c, image.launch(t, s.host), l.IdentityKey); err != nil || !bytes.Equal(vmk, image.VMK) {
		t.Errorf("the guest has %x, %v", vmk, err)
	} else if err := c.Bundle(t.Context(), client.BundleRequest{Image: image.ID, Release: image.answer.Release.ID, Format: "tar"}, io.Discard); err != nil {
		t.Error(err)
	}
}

// copyTree copies a file or a directory.
func copyTree(t *testing.T, from, to string) {
	t.Helper()
	info, err := os.Stat(from)
	if err != nil {
		t.Fatal(err)
	}
	if info.IsDir() {
		err = os.CopyFS(to, os.DirFS(from))
	} else {
		var data []byte
		if data, err = os.ReadFile(from); err == nil {
			err = os.WriteFile(to, data, info.Mode().Perm())
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	if !info.IsDir() {
		return
	}
	if err := filepath.WalkDir(to, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Base(path) != "kek" {
			return err
		}
		return os.Chmod(path, 0o600)
	}); err != nil {
		t.Fatal(err)
	}
}
