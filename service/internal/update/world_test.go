package update_test

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"log/slog"
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
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/update"
)

// world is a service with an image, the release that its guest runs, and a host.
type world struct {
	now      time.Time
	identity ed25519.PrivateKey
	database *store.Store
	image    store.Image
	running  store.Release
	golden   *guesttest.Image
	host     *guesttest.Host
	unlocker *unlock.Service
	service  *update.Service
}

func (w *world) clock() time.Time { return w.now }

// Chains and CheckRevocation stand in for AMD's KDS, which has nothing more to say.
func (w *world) Chains(context.Context, kds.Asker, *snp.Report, []byte) ([]attest.Chain, error) {
	return nil, &attest.Refusal{Reason: attest.ReasonNoCertificate}
}
func (w *world) CheckRevocation(context.Context, *attest.Verified) error { return nil }

func newWorld(t *testing.T) *world {
	t.Helper()
	ingestion, err := seal.GenerateKey()
	must(t, err)
	w := &world{now: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC), identity: ed25519.NewKeyFromSeed(make([]byte, 32))}
	w.database = storetest.SQLite(t).Open(t, store.Options{Now: w.clock})
	amd := simtest.AMD(t).At(w.now)
	w.host = guesttest.NewHost(t, amd, sim.NewChip(snp.Milan, "chip", snp.TCB{BootLoader: 4, TEE: 1, SNP: 24, Microcode: 219}))
	w.golden = guesttest.NewImage(t, ingestion.Public())
	image, release := storetest.Image("image"), newRelease("6.12.1")
	image.ID, image.UnsealingKeySealed = w.golden.ID, w.golden.UnsealingKey
	w.image, w.running, err = w.database.CreateImage(t.Context(), image, release, storetest.Present)
	must(t, err)
	roots, err := attest.NewRoots([]*x509.Certificate{amd.Line(snp.Milan).ARK.Certificate})
	must(t, err)
	log := slog.New(slog.DiscardHandler)
	w.unlocker = unlock.New(unlock.Config{
		Nonces: nonce.NewIssuer([]byte("nonce key"), w.clock), Launches: w.database, Verifier: attest.NewVerifier(roots), Endorser: w,
		Tally: unlock.NewTally(w.database, nil), Ingestion: ingestion, Identity: w.identity, Now: w.clock, Log: log,
	})
	w.service = update.New(update.Config{Prover: w.unlocker, Fleet: w.database, Identity: w.identity, Key: []byte("nonce key"), Now: w.clock})
	return w
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// newRelease returns a release with a kernel of this name.
func newRelease(kernel string) store.Release {
	r := storetest.Release("firmware", kernel, "initrd of "+kernel)
	r.GuestPolicy, r.GuestSVN = 0x30000, 7
	r.Variants[0].Measurement[47] = byte(len(kernel))
	return r
}

// release adds a release with a kernel, later than all before, and approves it.
func (w *world) release(t *testing.T, kernel string) store.Release {
	t.Helper()
	r := w.propose(t, kernel)
	w.approve(t, r)
	r, err := w.database.ReleaseByID(t.Context(), r.ID)
	must(t, err)
	return r
}

func (w *world) approve(t *testing.T, r store.Release) {
	t.Helper()
	must(t, w.database.ApproveRelease(t.Context(), r.ID, store.Verdict{By: "approver", Content: r.ContentHash()}))
}

// outOfForce is why guests of a release that was withdrawn are denied.
const outOfForce = audit.ReasonReleaseRetired

// withdraw takes a release out of force, putBack puts it back.
func (w *world) withdraw(t *testing.T, id wire.UUID) {
	t.Helper()
	must(t, w.database.RetireRelease(t.Context(), id, store.Verdict{By: "approver"}))
}

func (w *world) putBack(t *testing.T, id wire.UUID) {
	t.Helper()
	must(t, w.database.RestoreRelease(t.Context(), id, store.Verdict{By: "admin"}))
}

func (w *world) propose(t *testing.T, kernel string) store.Release {
	t.Helper()
	w.now = w.now.Add(time.Hour)
	r, err := w.database.AddRelease(t.Context(), w.image.ID, newRelease(kernel), storetest.Present)
	must(t, err)
	return r
}

// guest launches a release.
func (w *world) guest(t *testing.T, release store.Release) *guesttest.Guest {
	g := w.host.Launch(t, w.golden)
	g.Report.IDKeyDigest, g.Report.AuthorKeyDigest, g.Report.AuthorKeyEn = w.image.IDKeyDigest, w.image.AuthorKeyDigest, true
	g.Report.ImageID, g.Report.Measurement, g.Report.GuestSVN = release.ID, release.Variants[0].Measurement, 7
	return g
}

func caller() unlock.Caller {
	return unlock.Caller{RequestID: "request", Address: "2001:db8::1", Block: "2001:db8::/64"}
}

func machine() wire.UUID { return wire.UUID{1} }

// installed is what a guest says of a kernel of a release.
func installed(kernels ...string) *wire.UpdateRequest {
	r := &wire.UpdateRequest{Machine: machine(), Running: "6.12.1", Kernels: []wire.InstalledKernel{}}
	for _, k := range kernels {
		sum := sha256.Sum256([]byte(k))
		r.Kernels = append(r.Kernels, wire.InstalledKernel{Release: k, SHA256: hex.EncodeToString(sum[:]), Modules: true})
	}
	return r
}

func encode(t testing.TB, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	must(t, err)
	return b
}

// call makes a call of a guest.
func (w *world) call(t testing.TB, g *guesttest.Guest, call wire.Call, body any) *wire.GuestCall {
	t.Helper()
	c, err := g.NewCall(call, w.unlocker.Challenge().Nonce, encode(t, body))
	must(t, err)
	return c
}

// update asks as a guest does, and checks the answer as it does.
func (w *world) update(t *testing.T, g *guesttest.Guest, asks *wire.UpdateRequest) *wire.UpdateAnswer {
	t.Helper()
	call := w.call(t, g, wire.CallUpdate, asks)
	signed, err := w.service.Update(t.Context(), call, caller())
	must(t, err)
	w.checkSigned(t, wire.CallUpdate, call, signed)
	var answer wire.UpdateAnswer
	must(t, json.Unmarshal(signed.Body, &answer))
	must(t, answer.Validate())
	return &answer
}

func (w *world) checkSigned(t *testing.T, call wire.Call, c *wire.GuestCall, answer *wire.GuestAnswer) {
	t.Helper()
	data := wire.CallBinding{Nonce: c.Nonce, Image: w.image.ID, Body: sha256.Sum256(c.Body)}.ReportData(call)
	if !ed25519.Verify(w.identity.Public().(ed25519.PublicKey), wire.AnswerTranscript(call, data, answer.Body), answer.Signature) {
		t.Fatal("the answer is not signed for this call")
	}
}

func (w *world) machines(t *testing.T) []store.Machine {
	t.Helper()
	page, err := w.database.ListMachines(t.Context(), w.image.ID, "", store.MaxPage)
	must(t, err)
	return page.Items
}

func (w *world) records(t *testing.T, kind string) []audit.Entry {
	t.Helper()
	entries, err := w.database.ListAudit(t.Context(), store.AuditFilter{Kind: kind}, store.AuditRange{Limit: 99})
	must(t, err)
	return entries
}
