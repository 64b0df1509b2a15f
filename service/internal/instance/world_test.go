package instance_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/attest"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/kds"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/snp"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/seal"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/sim"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/sim/simtest"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/audit"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/guesttest"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/instance"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/keyring"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/nonce"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store/storetest"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/unlock"
)

// world is a service with an image that has instances, one of them, and a host.
type world struct {
	mu        sync.Mutex
	now       time.Time
	identity  ed25519.PrivateKey
	kek       *keyring.KEK
	database  *store.Store
	image     store.Image
	release   store.Release
	instance  store.Instance
	golden    *guesttest.Image
	host      *guesttest.Host
	service   *instance.Service
	unlocker  *unlock.Service
	rollbacks []unlock.Rollback
	meanwhile func() // happens while AMD's KDS is asked
	recording error

	replica func(*store.Store) (*unlock.Service, *instance.Service) // on a database of its own connections
}

func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *world) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

// Chains and CheckRevocation stand in for AMD's KDS, which has nothing more to say.
func (w *world) Chains(context.Context, kds.Asker, *snp.Report, []byte) ([]attest.Chain, error) {
	return nil, &attest.Refusal{Reason: attest.ReasonNoCertificate}
}

func (w *world) CheckRevocation(context.Context, *attest.Verified) error {
	if w.meanwhile != nil {
		w.meanwhile()
	}
	return nil
}

// RecordInstanceCall stands between service and database.
func (w *world) RecordInstanceCall(ctx context.Context, call store.InstanceCall) (audit.Entry, error) {
	if w.recording != nil {
		return audit.Entry{}, w.recording
	}
	return w.database.RecordInstanceCall(ctx, call)
}

func newWorld(t *testing.T) *world {
	t.Helper()
	return newWorldOn(t, storetest.SQLite(t), wire.InstanceSettings{Mode: wire.InstancesNamed, Generation: wire.GenerationReport})
}

func newWorldOn(t *testing.T, db storetest.Database, settings wire.InstanceSettings) *world {
	t.Helper()
	ingestion, err := seal.GenerateKey()
	must(t, err)
	w := &world{now: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC), identity: ed25519.NewKeyFromSeed(make([]byte, 32))}
	w.kek, err = keyring.NewKEK(make([]byte, keyring.KEKSize))
	must(t, err)
	w.database = db.Open(t, store.Options{Now: w.clock})
	amd := simtest.AMD(t).At(w.now)
	w.host = guesttest.NewHost(t, amd, sim.NewChip(snp.Milan, "chip", snp.TCB{BootLoader: 4, TEE: 1, SNP: 24, Microcode: 219}))
	w.golden = guesttest.NewImage(t, ingestion.Public())
	image, release := storetest.Image("image"), storetest.Release("firmware", "kernel", "initrd")
	image.ID, image.UnsealingKeySealed, image.Instances = w.golden.ID, w.golden.UnsealingKey, settings
	release.GuestPolicy, release.GuestSVN = 0x30000, 7
	w.image, w.release, err = w.database.CreateImage(t.Context(), image, release, storetest.Present)
	must(t, err)
	w.instance = w.create(t, "vm")
	roots, err := attest.NewRoots([]*x509.Certificate{amd.Line(snp.Milan).ARK.Certificate})
	must(t, err)
	w.replica = func(database *store.Store) (*unlock.Service, *instance.Service) {
		return w.serve(roots, ingestion, database)
	}
	w.unlocker, w.service = w.replica(w.database)
	w.service.Log = w
	return w
}

// serve makes a service on a database.
func (w *world) serve(roots *attest.Roots, ingestion *seal.PrivateKey, database *store.Store) (*unlock.Service, *instance.Service) {
	unlocker := unlock.New(unlock.Config{
		Nonces: nonce.NewIssuer([]byte("nonce key"), w.clock), Launches: database, Instances: database, Shares: w.kek, Verifier: attest.NewVerifier(roots),
		Endorser: w, Tally: unlock.NewTally(database, nil), Ingestion: ingestion, Identity: w.identity, Now: w.clock, Log: slog.New(slog.DiscardHandler),
		ObserveRollback: func(r unlock.Rollback) { w.rollbacks = append(w.rollbacks, r) },
	})
	return unlocker, instance.New(instance.Config{Prover: unlocker, Log: database, Shares: w.kek, Identity: w.identity, Now: w.clock})
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// create makes an instance.
func (w *world) create(t *testing.T, name string) store.Instance {
	t.Helper()
	i := store.Instance{ID: wire.NewUUID(), Image: w.image.ID, Name: name, CreatedBy: "admin"}
	var err error
	i.ShareSealed, err = w.kek.NewShare(i.ID)
	must(t, err)
	i, err = w.database.CreateInstance(t.Context(), i)
	must(t, err)
	return i
}

// row is the instance as it is kept.
func (w *world) row(t *testing.T) store.Instance {
	t.Helper()
	i, err := w.database.InstanceByID(t.Context(), w.instance.ID)
	must(t, err)
	return i
}

func caller() unlock.Caller {
	return unlock.Caller{RequestID: "request", Address: "2001:db8::1", Block: "2001:db8::/64"}
}

// disk is what a copy of the image's disk holds.
type disk struct {
	secret      *guesttest.Secret // nil while it is golden
	key         []byte            // of its file system, once it was derived
	generations []wire.Generation
}

// vm is one launch of the instance from a disk.
type vm struct {
	*guesttest.Guest
	w    *world
	disk *disk
	grant
}

type grant struct {
	*wire.Grant
	keys []byte
}

// launch starts the instance from a disk.
func (w *world) launch(t *testing.T, d *disk) *vm {
	t.Helper()
	g := w.host.Launch(t, w.golden)
	g.Report.IDKeyDigest, g.Report.AuthorKeyDigest, g.Report.AuthorKeyEn = w.image.IDKeyDigest, w.image.AuthorKeyDigest, true
	g.Report.ImageID, g.Report.Measurement, g.Report.GuestSVN = w.release.ID, w.release.Variants[0].Measurement, 7
	g.Report.HostData = wire.HostData(w.instance.ID)
	if d.secret != nil {
		g.Disk.Sealed = [][]byte{d.secret.Sealed}
	}
	g.Disk.Generations = d.generations
	return &vm{Guest: g, w: w, disk: d}
}

// unlock asks for keys.
func (v *vm) unlock(t *testing.T) error {
	t.Helper()
	request := v.Request(t, v.w.unlocker.Challenge().Nonce)
	must(t, request.Validate())
	given, err := v.w.unlocker.Unlock(t.Context(), request, caller())
	if err != nil {
		return err
	}
	v.Grant = given
	v.keys, err = v.Open(request, given, v.w.identity.Public().(ed25519.PublicKey))
	must(t, err)
	return nil
}

// granted launches from a disk, and wants keys.
func (w *world) granted(t *testing.T, d *disk) *vm {
	t.Helper()
	v := w.launch(t, d)
	must(t, v.unlock(t))
	return v
}

// bodies are what a boot says in its calls.
func (v *vm) claimBody(t *testing.T) *wire.ClaimRequest {
	t.Helper()
	if v.disk.secret == nil {
		v.disk.secret = v.w.golden.NewSecret(t, v.w.instance.ID)
	}
	return &wire.ClaimRequest{Sealed: v.disk.secret.Sealed, PublicKey: v.Key.Public().Bytes()}
}

func (v *vm) readyBody(generation uint64) *wire.ReadyRequest {
	hash := v.disk.secret.Hash()
	return &wire.ReadyRequest{Sealed: hash[:], Generation: generation, Recovery: []byte("age-encryption.org/v1")}
}

// newCall makes a call of the boot.
func (v *vm) newCall(t *testing.T, call wire.Call, body any) *wire.BootCall {
	t.Helper()
	encoded, err := json.Marshal(body)
	must(t, err)
	c, err := v.NewBootCall(call, v.w.unlocker.Challenge().Nonce, encoded)
	must(t, err)
	return c
}

// send makes a call as it is.
func (w *world) send(ctx context.Context, call wire.Call, c *wire.BootCall) (*wire.GuestAnswer, error) {
	switch call {
	case wire.CallClaim:
		return w.service.Claim(ctx, c, caller())
	case wire.CallReady:
		return w.service.Ready(ctx, c, caller())
	case wire.CallCommit:
		return w.service.Commit(ctx, c, caller())
	}
	return nil, errors.New("no such call")
}

// ask makes a call, and checks the answer as a guest does.
func (v *vm) ask(t *testing.T, call wire.Call, body any, answer interface{ Validate() error }) error {
	t.Helper()
	c := v.newCall(t, call, body)
	signed, err := v.w.send(t.Context(), call, c)
	if err != nil {
		return err
	}
	must(t, signed.Validate())
	data := v.data(call, c)
	if !ed25519.Verify(v.w.identity.Public().(ed25519.PublicKey), wire.AnswerTranscript(call, data, signed.Body), signed.Signature) {
		t.Fatal("the answer is not signed for this call")
	}
	must(t, json.Unmarshal(signed.Body, answer))
	must(t, answer.Validate())
	if a, ok := answer.(*wire.ClaimAnswer); ok {
		v.derive(t, data, a)
	}
	return nil
}

func (v *vm) data(call wire.Call, c *wire.BootCall) [64]byte {
	return wire.CallBinding{Nonce: c.Nonce, Image: v.Image, Instance: wire.HostInstance(v.Report.HostData), Body: sha256.Sum256(c.Body)}.ReportData(call)
}

// derive makes the key of the disk from the answer to a claim.
func (v *vm) derive(t *testing.T, data [64]byte, a *wire.ClaimAnswer) {
	t.Helper()
	share, err := v.Key.Open(wire.ShareInfo(data), a.Share)
	must(t, err)
	if !ed25519.Verify(v.w.identity.Public().(ed25519.PublicKey), wire.ReceiptTranscript(v.w.image.ID, v.w.instance.ID, v.disk.secret.Hash()), a.Receipt) {
		t.Fatal("the receipt is not the service's")
	}
	key := v.w.golden.VolumeKey(t, v.w.instance.ID, v.disk.secret, share)
	if v.disk.key != nil && !bytes.Equal(key, v.disk.key) {
		t.Fatal("another volume key")
	}
	v.disk.key = key
}

// claim, ready and commit do what an honest boot does.
func (v *vm) claim(t *testing.T) error {
	t.Helper()
	var answer wire.ClaimAnswer
	return v.ask(t, wire.CallClaim, v.claimBody(t), &answer)
}

func (v *vm) ready(t *testing.T, generation uint64) error {
	t.Helper()
	v.disk.generations = []wire.Generation{v.w.golden.Generation(t, v.w.instance.ID, v.disk.key, generation)}
	var answer wire.InstanceAnswer
	return v.ask(t, wire.CallReady, v.readyBody(generation), &answer)
}

func (v *vm) commit(t *testing.T) error {
	t.Helper()
	next := v.Generation + 1
	v.disk.generations = []wire.Generation{v.disk.generations[len(v.disk.generations)-1], v.w.golden.Generation(t, v.w.instance.ID, v.disk.key, next)}
	var answer wire.InstanceAnswer
	return v.ask(t, wire.CallCommit, wire.CommitRequest{Generation: next}, &answer)
}

// made is the disk of an instance that is ready, at generation 1.
func (w *world) made(t *testing.T) *disk {
	t.Helper()
	v := w.granted(t, &disk{})
	must(t, v.claim(t))
	must(t, v.ready(t, 1))
	return v.disk
}

// copied is a copy of the disk, as a host makes it.
func (d *disk) copied() *disk {
	c := *d
	c.generations = append([]wire.Generation{}, d.generations...)
	return &c
}

func denied(err error, reason audit.Reason) bool {
	var denial *unlock.Denial
	return errors.As(err, &denial) && denial.Reason == reason
}

// checkDenied wants a denial, and a record of it.
func (w *world) checkDenied(t *testing.T, call string, err error, want audit.Reason) {
	t.Helper()
	if !denied(err, want) {
		t.Fatalf("%s: got %v, want denial for %s", call, err, want)
	}
	entries, err := w.database.ListAudit(t.Context(), store.AuditFilter{}, store.AuditRange{Limit: 1})
	must(t, err)
	r := entries[0]
	if r.Outcome != audit.OutcomeDenied || r.Reason != want || r.Details["call"] != call || r.Rule == "" || r.Expected == "" || r.Found == "" || r.RequestID != "request" {
		t.Errorf("%s: recorded %+v", call, r.Record)
	}
}
