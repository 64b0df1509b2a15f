package unlock_test

import (
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"log/slog"
	"sync"
	"sync/atomic"
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
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/nonce"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store/storetest"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/unlock"
)

// world is a service with one registered release, a host and its guest. It stands
// between service and database, and in for AMD's KDS and the clock.
type world struct {
	now       time.Time
	launch    *store.Launch
	identity  ed25519.PrivateKey
	amd       *sim.AMD
	image     *guesttest.Image
	host      *guesttest.Host
	service   *unlock.Service
	tally     *unlock.Tally
	writing   sync.Mutex
	records   []audit.Entry // as the database wrote them
	kds       []attest.Chain
	kdsError  error
	revoked   error
	lookups   error
	lookedUp  atomic.Int64
	recording error
	observed  []audit.Reason
	meanwhile func() // happens while AMD's KDS is asked
	database  *store.Store
	askers    []kds.Asker
	table     []byte // of certificates, in place of the guest's own

	instances map[wire.UUID]*store.Instance
	made      []audit.Record // of instances that were made
	ensuring  error
	sharing   error
	rollbacks []unlock.Rollback
	before    func() // happens before an unlock is recorded
}

var (
	idKey     = [48]byte{1}
	authorKey = [48]byte{2}
	measured  = [48]byte{3}
)

func newWorld(t *testing.T) *world {
	t.Helper()
	ingestion, err := seal.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	w := &world{
		now: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC), identity: ed25519.NewKeyFromSeed(make([]byte, 32))}
	w.database = storetest.SQLite(t).Open(t, store.Options{Now: w.clock})
	w.amd = simtest.AMD(t).At(w.now)
	tcb := snp.TCB{BootLoader: 4, TEE: 1, SNP: 24, Microcode: 219}
	w.host = guesttest.NewHost(t, w.amd, sim.NewChip(snp.Milan, "chip", tcb))
	w.image = guesttest.NewImage(t, ingestion.Public())
	image, release := storetest.Image("image"), storetest.Release("f", "k", "i")
	image.ID, image.UnsealingKeySealed = w.image.ID, w.image.UnsealingKey
	release.GuestPolicy, release.GuestSVN = 0x30000, 7
	release.Variants[1].Measurement = measured
	if image, release, err = w.database.CreateImage(t.Context(), image, release, storetest.Present); err != nil {
		t.Fatal(err)
	}
	launch, err := w.database.FindLaunch(t.Context(), image.IDKeyDigest, image.AuthorKeyDigest, release.ID)
	if err != nil {
		t.Fatal(err)
	}
	w.launch, w.instances = &launch, map[wire.UUID]*store.Instance{}
	w.launch.Image.Instances = wire.InstanceSettings{Mode: wire.InstancesNone, Generation: wire.GenerationReport}
	roots, err := attest.NewRoots([]*x509.Certificate{w.amd.Line(snp.Milan).ARK.Certificate})
	if err != nil {
		t.Fatal(err)
	}
	w.tally = unlock.NewTally(w, nil)
	w.service = unlock.New(unlock.Config{
		Nonces: nonce.NewIssuer([]byte("nonce key"), w.clock), Launches: w, Verifier: attest.NewVerifier(roots),
		Endorser: w, Tally: w.tally, Ingestion: ingestion, Identity: w.identity, Now: w.clock, Log: slog.New(slog.DiscardHandler),
		Instances: w, Shares: w,
		Observe:         func(reason audit.Reason, _ time.Duration) { w.observed = append(w.observed, reason) },
		ObserveRollback: func(r unlock.Rollback) { w.rollbacks = append(w.rollbacks, r) },
	})
	return w
}

// leased gives the guest a host with a VLEK, which masks its chip ID.
func (w *world) leased(t *testing.T, g *guesttest.Guest) {
	t.Helper()
	chip := w.host.Chip
	chip.ID = [snp.ChipIDSize]byte{}
	vlek, err := w.amd.VLEK(chip.Product, "CN=csp.example", chip.TCB)
	if err != nil {
		t.Fatal(err)
	}
	g.Host = &guesttest.Host{Chip: chip, VEK: vlek, ASK: w.amd.Line(chip.Product).ASVK.Certificate.Raw}
	g.Report.ChipID, g.Report.SigningKey = chip.ID, snp.SignedByVLEK
}

func (w *world) clock() time.Time { return w.now }

func (w *world) FindLaunch(_ context.Context, id, author [48]byte, release wire.UUID) (store.Launch, error) {
	w.lookedUp.Add(1)
	switch {
	case w.lookups != nil:
		return store.Launch{}, w.lookups
	case id != idKey || author != authorKey:
		return store.Launch{}, store.ErrNoImage
	case release != w.launch.Release.ID:
		return store.Launch{Image: w.launch.Image}, store.ErrNoRelease
	}
	return *w.launch, nil
}

func (w *world) RecordUnlock(ctx context.Context, u store.Unlock) (audit.Entry, error) {
	if w.recording != nil {
		return audit.Entry{}, w.recording
	}
	if w.before != nil {
		w.before()
	}
	if use := u.Instance; use != nil {
		decide := u.Decide
		u.Instance = nil
		u.Decide = func(record audit.Record, facts store.Facts) audit.Record {
			if i := w.instances[use.ID]; i != nil {
				now := *i
				facts.Instance = &now
			}
			record = decide(record, facts)
			if record.Granted() && facts.First == nil {
				w.instances[use.ID].Granted = use.Boot
			}
			return record
		}
	}
	entry, err := w.database.RecordUnlock(ctx, u)
	if err == nil {
		w.writing.Lock()
		defer w.writing.Unlock()
		w.records = append(w.records, entry)
	}
	return entry, err
}

func (w *world) Chains(_ context.Context, asker kds.Asker, _ *snp.Report, _ []byte) ([]attest.Chain, error) {
	w.askers = append(w.askers, asker)
	return w.kds, w.kdsError
}

func (w *world) CheckRevocation(context.Context, *attest.Verified) error {
	if w.meanwhile != nil {
		w.meanwhile()
	}
	return w.revoked
}

// guest launches the registered release.
func (w *world) guest(t *testing.T) *guesttest.Guest {
	g := w.host.Launch(t, w.image)
	g.Report.IDKeyDigest, g.Report.AuthorKeyDigest, g.Report.AuthorKeyEn = idKey, authorKey, true
	g.Report.ImageID, g.Report.Measurement, g.Report.GuestSVN = w.launch.Release.ID, measured, 7
	return g
}

func (w *world) unlock(t *testing.T, request *wire.UnlockRequest) (*wire.Grant, error) {
	t.Helper()
	if err := request.Validate(); err != nil {
		t.Fatal(err)
	}
	return w.service.Unlock(t.Context(), request, unlock.Caller{RequestID: "request", Address: "2001:db8::1", Block: "2001:db8::/64"})
}
