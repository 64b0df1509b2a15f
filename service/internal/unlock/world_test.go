package unlock_test

import (
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"fmt"
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
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/guesttest"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/nonce"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store/storetest"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/unlock"
)

// world is a service with one registered release, a host and its guest, all in
// memory. It stands in for the database, AMD's KDS and the clock.
type world struct {
	now       time.Time
	launch    *unlock.Launch
	identity  ed25519.PrivateKey
	amd       *sim.AMD
	image     *guesttest.Image
	host      *guesttest.Host
	service   *unlock.Service
	records   []unlock.Record
	reasons   []unlock.Reason
	nonces    map[string]bool
	released  map[[32]byte]string
	mu        sync.Mutex
	kds       []attest.Chain
	kdsError  error
	revoked   error
	lookups   error
	recording error
	answer    unlock.Reason // of the database, in place of its own
	observed  []unlock.Reason
	meanwhile func()        // happens while AMD's KDS is asked
	changed   unlock.Reason // what happened meanwhile makes of a grant
	database  *store.Store
	askers    []kds.Asker
	table     []byte // of certificates, in place of the guest's own
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
		now: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC), identity: ed25519.NewKeyFromSeed(make([]byte, 32)),
		nonces: make(map[string]bool), released: make(map[[32]byte]string),
	}
	w.database = storetest.SQLite(t).Open(t, store.Options{Now: w.clock})
	w.amd = simtest.AMD(t).At(w.now)
	tcb := snp.TCB{BootLoader: 4, TEE: 1, SNP: 24, Microcode: 219}
	w.host = guesttest.NewHost(t, w.amd, sim.NewChip(snp.Milan, "chip", tcb))
	w.image = guesttest.NewImage(t, ingestion.Public())
	w.launch = &unlock.Launch{
		Image: w.image.ID, ImageEnabled: true, Release: wire.NewUUID(), ReleaseEnabled: true,
		GuestPolicy: 0x30000, GuestSVN: 7, Measurements: [][48]byte{{9}, measured}, ImagePolicy: []byte(`{"version":1}`), UnsealingKey: w.image.UnsealingKey,
	}
	image, release := storetest.Image("image"), storetest.Release("f", "k", "i")
	image.ID, release.ID = w.launch.Image, w.launch.Release
	if _, _, err := w.database.CreateImage(t.Context(), image, release, storetest.Present); err != nil {
		t.Fatal(err)
	}
	stored, err := w.database.FindLaunch(t.Context(), image.IDKeyDigest, image.AuthorKeyDigest, release.ID)
	if err != nil {
		t.Fatal(err)
	}
	w.launch.Seen = stored.Seen
	roots, err := attest.NewRoots([]*x509.Certificate{w.amd.Line(snp.Milan).ARK.Certificate})
	if err != nil {
		t.Fatal(err)
	}
	w.service = unlock.New(unlock.Config{
		Nonces: nonce.NewIssuer([]byte("nonce key"), w.clock), Launches: w, Verifier: attest.NewVerifier(roots),
		Endorser: w, Recorder: w, Ingestion: ingestion, Identity: w.identity, Now: w.clock,
		Observe: func(reason unlock.Reason, _ time.Duration) { w.observed = append(w.observed, reason) },
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

func (w *world) Launch(_ context.Context, id, author [48]byte, release wire.UUID) (*unlock.Launch, error) {
	if w.lookups != nil || id != idKey || author != authorKey || release != w.launch.Release {
		return nil, w.lookups
	}
	return w.launch, nil
}

func (w *world) Record(ctx context.Context, r unlock.Record) (unlock.Reason, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.recording != nil {
		return "", w.recording
	}
	reason := w.decide(r)
	if w.answer != "" {
		return w.answer, nil
	}
	w.records, w.reasons = append(w.records, r), append(w.reasons, reason)
	if stored, err := (unlock.Stored{Store: w.database}).Record(ctx, r); err != nil || stored != reason {
		return "", fmt.Errorf("the database decided %q, not %q: %w", stored, reason, err)
	}
	return reason, nil
}

// decide keeps the promises of unlock.Recorder.
func (w *world) decide(r unlock.Record) unlock.Reason {
	used := w.nonces[string(r.Nonce)]
	if r.Nonce != nil {
		w.nonces[string(r.Nonce)] = true
	}
	switch key, released := w.released[r.ReportID]; {
	case r.Denial != nil:
		return r.Denial.Reason
	case used:
		return unlock.ReasonNonceUsed
	case w.changed != "":
		return w.changed
	case released && key != string(r.PublicKey):
		return unlock.ReasonReportIDReleased
	case released:
		return unlock.ReasonGrantedAgain
	}
	w.released[r.ReportID] = string(r.PublicKey)
	return unlock.ReasonGranted
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
	g.Report.ImageID, g.Report.Measurement, g.Report.GuestSVN = w.launch.Release, measured, 7
	return g
}

func (w *world) unlock(t *testing.T, request *wire.UnlockRequest) (*wire.Grant, error) {
	t.Helper()
	if err := request.Validate(); err != nil {
		t.Fatal(err)
	}
	return w.service.Unlock(t.Context(), request, unlock.Caller{RequestID: "request", Address: "2001:db8::1", Block: "2001:db8::/64"})
}
