package unlock_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"testing"

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

func TestUnlock(t *testing.T) {
	w := newWorld(t)
	g := w.guest(t)
	request := g.Request(t, w.service.Challenge().Nonce)
	grant, err := w.unlock(t, request)
	if err != nil {
		t.Fatal(err)
	}
	vmk, err := g.Open(request, grant, w.identity.Public().(ed25519.PublicKey))
	if err != nil || !bytes.Equal(vmk, w.image.VMK) {
		t.Errorf("the guest has %x, %v", vmk, err)
	}
	r := w.records[0]
	if !r.Granted() || r.Retry || r.ImageID != w.image.ID || r.ReleaseID != w.launch.Release.ID ||
		!bytes.Equal(r.ChipID, w.host.Chip.ID[:]) || r.Address != "2001:db8::1" || !bytes.Equal(r.Report, request.Report) || r.RequestID != "request" {
		t.Errorf("recorded %+v", r.Record)
	}
	if grant.Time != w.clock().UnixMilli() {
		t.Errorf("the grant has the time %d", grant.Time)
	}
	if bytes.Contains(grant.Ciphertext, w.image.VMK) {
		t.Error("the VMK is in clear")
	}
}

// withoutIDBlock makes the report what it is after a launch without an ID block:
// all that comes from one is zero.
func withoutIDBlock(g *guesttest.Guest) {
	r := g.Report
	clear(r.IDKeyDigest[:])
	clear(r.AuthorKeyDigest[:])
	r.AuthorKeyEn, r.FamilyID, r.ImageID, r.GuestSVN = false, wire.UUID{}, wire.UUID{}, 0
}

// TestAttacks changes one thing about an otherwise good request. Each attack is
// denied for its own recorded reason, and the guest gets nothing.
func TestAttacks(t *testing.T) {
	otherTCB := func(change func(*snp.TCB)) func(*testing.T, *world, *guesttest.Guest) {
		return func(t *testing.T, w *world, g *guesttest.Guest) {
			tcb := snp.TCB{BootLoader: 4, TEE: 1, SNP: 24, Microcode: 219}
			change(&tcb)
			host := guesttest.NewHost(t, w.amd, sim.NewChip(snp.Milan, "chip", tcb))
			raw := tcb.Bytes(snp.Milan)
			g.Host, g.Report.ReportedTCB, g.Report.CommittedTCB, g.Report.LaunchTCB, g.Report.CurrentTCB = host, raw, raw, raw, raw
			floor := `{"bootloader":4,"tee":1,"snp":24,"microcode":219}`
			w.launch.Image.Policy = []byte(`{"version":1,"tcb_floors":{"milan":{"reported":` + floor + `,"committed":` + floor + `,"launch":` + floor + `}}}`)
		}
	}
	for _, tc := range []struct {
		name   string
		attack func(*testing.T, *world, *guesttest.Guest)
		want   audit.Reason
	}{
		{"VMPL 1", func(_ *testing.T, _ *world, g *guesttest.Guest) { g.Report.VMPL = 1 }, audit.ReasonVMPL},
		{"report of another image", func(_ *testing.T, _ *world, g *guesttest.Guest) { g.Report.FamilyID[0]++ }, audit.ReasonBinding},
		{"binding of another image", func(_ *testing.T, _ *world, g *guesttest.Guest) { g.Image[0]++; g.Report.FamilyID = g.Image }, audit.ReasonFamilyID},
		{"another ID key", func(_ *testing.T, _ *world, g *guesttest.Guest) { g.Report.IDKeyDigest[0]++ }, audit.ReasonLaunchUnknown},
		{"another author key", func(_ *testing.T, _ *world, g *guesttest.Guest) { g.Report.AuthorKeyDigest[0]++ }, audit.ReasonLaunchUnknown},
		{"no author key", func(_ *testing.T, _ *world, g *guesttest.Guest) { g.Report.AuthorKeyEn = false }, audit.ReasonLaunchUnknown},
		{"no ID block", func(_ *testing.T, _ *world, g *guesttest.Guest) { withoutIDBlock(g) }, audit.ReasonBinding},
		{"no ID block, and a guest that binds no image", func(_ *testing.T, _ *world, g *guesttest.Guest) {
			withoutIDBlock(g)
			g.Image = wire.UUID{}
		}, audit.ReasonLaunchUnknown},
		{"another release", func(_ *testing.T, _ *world, g *guesttest.Guest) { g.Report.ImageID[0]++ }, audit.ReasonLaunchUnknown},
		{"disabled image", func(_ *testing.T, w *world, _ *guesttest.Guest) { w.launch.Image.Enabled = false }, audit.ReasonImageDisabled},
		{"rejected release", func(_ *testing.T, w *world, _ *guesttest.Guest) { w.launch.Release.State = wire.StateRejected }, audit.ReasonReleaseRejected},
		{"retired release", func(_ *testing.T, w *world, _ *guesttest.Guest) { w.launch.Release.State = wire.StateRetired }, audit.ReasonReleaseRetired},
		{"release in a state that nobody knows", func(_ *testing.T, w *world, _ *guesttest.Guest) { w.launch.Release.State = "" }, audit.ReasonReleaseProposed},
		{"wrong measurement", func(_ *testing.T, _ *world, g *guesttest.Guest) { g.Report.Measurement[47]++ }, audit.ReasonMeasurement},
		{"other guest policy", func(_ *testing.T, _ *world, g *guesttest.Guest) { g.Report.Policy = 0x20000 }, audit.ReasonGuestPolicy},
		{"debug added", func(_ *testing.T, _ *world, g *guesttest.Guest) { g.Report.Policy |= 1 << 19 }, audit.ReasonGuestPolicy},
		{"debug registered but not allowed", func(_ *testing.T, w *world, g *guesttest.Guest) {
			g.Report.Policy |= 1 << 19
			w.launch.Release.GuestPolicy = g.Report.Policy
		}, "guest_policy.debug"},
		{"lower guest SVN", func(_ *testing.T, _ *world, g *guesttest.Guest) { g.Report.GuestSVN = 6 }, audit.ReasonGuestSVN},
		{"other chip in report", func(_ *testing.T, _ *world, g *guesttest.Guest) { g.Report.ChipID[0]++ }, audit.Reason(attest.ReasonChipID)},
		{"other TCB in report", func(_ *testing.T, _ *world, g *guesttest.Guest) { g.Report.ReportedTCB[7]-- }, audit.Reason(attest.ReasonTCB)},
		{"boot loader below floor", otherTCB(func(tcb *snp.TCB) { tcb.BootLoader-- }), "tcb_floors.reported"},
		{"TEE below floor", otherTCB(func(tcb *snp.TCB) { tcb.TEE-- }), "tcb_floors.reported"},
		{"SNP firmware below floor", otherTCB(func(tcb *snp.TCB) { tcb.SNP-- }), "tcb_floors.reported"},
		{"microcode below floor", otherTCB(func(tcb *snp.TCB) { tcb.Microcode-- }), "tcb_floors.reported"},
		{"chip without any firmware level, no floor named", func(t *testing.T, w *world, g *guesttest.Guest) {
			otherTCB(func(tcb *snp.TCB) { *tcb = snp.TCB{} })(t, w, g)
			w.launch.Image.Policy = []byte(`{"version":1}`)
		}, "tcb_floors.reported"},
		{"firmware from before AMD-SB-3019, no floor named", func(t *testing.T, w *world, g *guesttest.Guest) {
			otherTCB(func(tcb *snp.TCB) { tcb.SNP = 0x17 })(t, w, g)
			w.launch.Image.Policy = []byte(`{"version":1}`)
		}, "tcb_floors.reported"},
		{"product line that is not named", func(_ *testing.T, w *world, _ *guesttest.Guest) {
			w.launch.Image.Policy = []byte(`{"version":1,"products":["Genoa","Turin"]}`)
		}, "products"},
		{"VLEK, where the policy does not say so", func(t *testing.T, w *world, g *guesttest.Guest) { w.leased(t, g) }, "signing_keys"},
		{"VLEK of another provider", func(t *testing.T, w *world, g *guesttest.Guest) {
			w.leased(t, g)
			w.launch.Image.Policy = []byte(`{"version":1,"signing_keys":["VLEK"],"csp_ids":["CN=another.example"]}`)
		}, "csp_ids"},
		{"committed below floor", func(t *testing.T, w *world, g *guesttest.Guest) {
			otherTCB(func(*snp.TCB) {})(t, w, g)
			g.Report.CommittedTCB[6]--
		}, "tcb_floors.committed"},
		{"launched below floor", func(t *testing.T, w *world, g *guesttest.Guest) {
			otherTCB(func(*snp.TCB) {})(t, w, g)
			g.Report.LaunchTCB[6]--
		}, "tcb_floors.launch"},
		{"chip not allowed", func(_ *testing.T, w *world, _ *guesttest.Guest) {
			w.launch.Image.Policy = fmt.Appendf(nil, `{"version":1,"allowed_chips":["%0128x"]}`, 1)
		}, "allowed_chips"},
		{"chip denied", func(_ *testing.T, w *world, g *guesttest.Guest) {
			w.launch.Image.Policy = fmt.Appendf(nil, `{"version":1,"denied_chips":["%x"]}`, g.Report.ChipID)
		}, "denied_chips"},
		{"release of a looser policy", func(_ *testing.T, w *world, _ *guesttest.Guest) {
			w.launch.Image.Policy, w.launch.Release.Policy = []byte(`{"version":1,"platform":{"smt":false}}`), []byte(`{"version":1}`)
		}, "platform.smt"},
		{"release of a tighter policy", func(_ *testing.T, w *world, _ *guesttest.Guest) {
			w.launch.Release.Policy = []byte(`{"version":1,"platform":{"smt":false}}`)
		}, "platform.smt"},
		{"release that nobody approved", func(_ *testing.T, w *world, _ *guesttest.Guest) { w.launch.Release.State = wire.StateProposed }, audit.ReasonReleaseProposed},
		{"genuine image, simulated root", func(_ *testing.T, w *world, _ *guesttest.Guest) { w.service.Simulated = true }, audit.ReasonSimulated},
		{"simulated image, genuine root", func(_ *testing.T, w *world, _ *guesttest.Guest) { w.launch.Image.Simulated = true }, audit.ReasonSimulated},
		{"platform with SMT", func(_ *testing.T, w *world, _ *guesttest.Guest) {
			w.launch.Image.Policy = []byte(`{"version":1,"platform":{"smt":false}}`)
		}, "platform.smt"},
		{"impostor AMD", func(t *testing.T, w *world, g *guesttest.Guest) {
			g.Host = guesttest.NewHost(t, simtest.Impostor(t).At(w.now), w.host.Chip)
		}, audit.Reason(attest.ReasonCertificateSignature)},
		{"revoked certificate", func(_ *testing.T, w *world, _ *guesttest.Guest) { w.revoked = fmt.Errorf("ASK: %w", kds.ErrRevoked) }, audit.ReasonRevoked},
		{"forged revocation list", func(_ *testing.T, w *world, _ *guesttest.Guest) { w.revoked = kds.ErrCRLSignature }, audit.ReasonCRL},
		{"rolled back revocation list", func(_ *testing.T, w *world, _ *guesttest.Guest) { w.revoked = kds.ErrCRLRollback }, audit.ReasonCRL},
		{"no certificates, unknown chip", func(_ *testing.T, w *world, g *guesttest.Guest) {
			g.WithCerts, w.kdsError = false, &attest.Refusal{Reason: attest.ReasonNoCertificate}
		}, audit.Reason(attest.ReasonNoCertificate)},
		{"broken certificate table, unknown chip", func(_ *testing.T, w *world, g *guesttest.Guest) {
			g.WithCerts, w.kdsError = false, &attest.Refusal{Reason: attest.ReasonNoCertificate}
			w.table = []byte("broken")
		}, audit.Reason(attest.ReasonNoCertificate)},
		{"sealed VMK of another image", func(t *testing.T, w *world, g *guesttest.Guest) {
			g.SealedVMK = guesttest.NewImage(t, w.service.Ingestion.Public()).SealedVMK
		}, audit.ReasonSealedVMK},
		{"changed sealed VMK", func(_ *testing.T, _ *world, g *guesttest.Guest) {
			g.SealedVMK = bytes.Clone(g.SealedVMK)
			g.SealedVMK[wire.EncSize]++
		}, audit.ReasonSealedVMK},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t)
			g := w.guest(t)
			tc.attack(t, w, g)
			request := g.Request(t, w.service.Challenge().Nonce)
			if w.table != nil {
				request.Certificates = w.table
			}
			grant, err := w.unlock(t, request)
			w.checkDenied(t, grant, err, tc.want)
		})
	}
}

func (w *world) checkDenied(t *testing.T, grant *wire.Grant, err error, want audit.Reason) {
	t.Helper()
	var denial *unlock.Denial
	if grant != nil || !errors.As(err, &denial) || denial.Reason != want {
		t.Fatalf("got %v, %v, want denial for %s", grant, err, want)
	}
	if last := w.observed[len(w.observed)-1]; last != want {
		t.Errorf("observed %s, want %s", last, want)
	}
	entries, err := w.database.ListAudit(t.Context(), store.AuditFilter{}, store.AuditRange{Limit: 1})
	if err != nil || len(entries) != 1 {
		t.Fatalf("audit log: %v, %v", entries, err)
	}
	e := entries[0]
	if e.Outcome != audit.OutcomeDenied || e.Reason != want || e.Rule == "" || e.Expected == "" || e.Found == "" || e.RequestID != "request" {
		t.Errorf("the audit log has %s %s: rule %q, expected %q, found %q", e.Outcome, e.Reason, e.Rule, e.Expected, e.Found)
	}
}

// TestChangedRequests changes a request after its report was made.
func TestChangedRequests(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(*testing.T, *world, *wire.UnlockRequest)
		want   audit.Reason
	}{
		{"changed public key", func(_ *testing.T, _ *world, r *wire.UnlockRequest) { r.PublicKey[100] ^= 1 }, audit.ReasonBinding},
		{"other sealed VMK", func(_ *testing.T, _ *world, r *wire.UnlockRequest) { r.SealedVMK = make([]byte, wire.SealedVMKSize) }, audit.ReasonBinding},
		{"other nonce", func(_ *testing.T, w *world, r *wire.UnlockRequest) { r.Nonce = w.service.Challenge().Nonce }, audit.ReasonBinding},
		{"foreign nonce", func(_ *testing.T, w *world, r *wire.UnlockRequest) {
			r.Nonce = nonce.NewIssuer([]byte("other key"), w.clock).New()
		}, audit.ReasonNonceForged},
		{"expired nonce", func(_ *testing.T, w *world, _ *wire.UnlockRequest) { w.now = w.now.Add(2 * nonce.Lifetime) }, audit.ReasonNonceExpired},
		{"report version before 2", func(_ *testing.T, _ *world, r *wire.UnlockRequest) { r.Report[0] = 1 }, audit.ReasonReportFormat},
		{"another report version", func(_ *testing.T, _ *world, r *wire.UnlockRequest) { r.Report[0] = 4 }, audit.Reason(attest.ReasonSignature)},
		{"field of a later report version", func(_ *testing.T, _ *world, r *wire.UnlockRequest) {
			r.Report[0], r.Report[0x208] = 6, 1
		}, audit.Reason(attest.ReasonSignature)},
		{"reserved bit", func(_ *testing.T, _ *world, r *wire.UnlockRequest) { r.Report[0x4C] = 1 }, audit.ReasonReportFormat},
		{"changed signature", func(_ *testing.T, _ *world, r *wire.UnlockRequest) { r.Report[0x2A0] ^= 1 }, audit.Reason(attest.ReasonSignature)},
		{"changed host data", func(_ *testing.T, _ *world, r *wire.UnlockRequest) { r.Report[0xC0] ^= 1 }, audit.Reason(attest.ReasonSignature)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t)
			w.kdsError = &attest.Refusal{Reason: attest.ReasonNoCertificate}
			request := w.guest(t).Request(t, w.service.Challenge().Nonce)
			tc.change(t, w, request)
			grant, err := w.unlock(t, request)
			w.checkDenied(t, grant, err, tc.want)
		})
	}
}

// TestMalformedPublicKey binds a key that is none.
func TestMalformedPublicKey(t *testing.T) {
	w := newWorld(t)
	g := w.guest(t)
	request := g.Request(t, w.service.Challenge().Nonce)
	request.PublicKey = bytes.Repeat([]byte{0xFF}, wire.PublicKeySize)
	report := *g.Report
	report.ReportData = wire.UnlockBinding{
		Nonce: request.Nonce, PublicKey: request.PublicKey, BootKey: request.BootKey, Image: g.Image,
		SealedVMK: sha256.Sum256(g.SealedVMK), Disk: g.Disk.Hash(),
	}.ReportData()
	var err error
	if request.Report, err = g.Host.VEK.Report(&report); err != nil {
		t.Fatal(err)
	}
	grant, err := w.unlock(t, request)
	w.checkDenied(t, grant, err, audit.ReasonPublicKey)
}

func TestReplays(t *testing.T) {
	w := newWorld(t)
	g := w.guest(t)
	request := g.Request(t, w.service.Challenge().Nonce)
	if _, err := w.unlock(t, request); err != nil {
		t.Fatal(err)
	}
	grant, err := w.unlock(t, request)
	w.checkDenied(t, grant, err, audit.ReasonNonceUsed)

	again, err := w.unlock(t, g.Request(t, w.service.Challenge().Nonce))
	if err != nil || again == nil || w.observed[len(w.observed)-1] != audit.ReasonGrantedAgain {
		t.Errorf("a retry with the same key: %v, %v", w.observed, err)
	}

	later := *g
	if later.Key, err = seal.GenerateKey(); err != nil {
		t.Fatal(err)
	}
	grant, err = w.unlock(t, later.Request(t, w.service.Challenge().Nonce))
	w.checkDenied(t, grant, err, audit.ReasonReportIDReleased)
}

// TestCertificatesFromKDS unlocks without a table, and with a useless one.
func TestCertificatesFromKDS(t *testing.T) {
	for name, table := range map[string][]byte{"no table": nil, "broken table": []byte("broken"), "stale table": nil} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			g := w.guest(t)
			w.kds = []attest.Chain{{VEK: g.Host.VEK.Certificate.Raw, ASK: g.Host.ASK}}
			g.WithCerts = false
			request := g.Request(t, w.service.Challenge().Nonce)
			request.Certificates = table
			if name == "stale table" {
				old := w.host.Chip
				old.TCB.Microcode--
				stale := guesttest.NewHost(t, w.amd, old)
				request.Certificates = (&snp.CertTable{VCEK: stale.VEK.Certificate.Raw, ASK: stale.ASK}).Bytes()
			}
			if _, err := w.unlock(t, request); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestTroubleIsNotADenial fails what the service depends on: the guest may try
// again, and gets nothing.
func TestTroubleIsNotADenial(t *testing.T) {
	trouble := errors.New("connection refused")
	for name, fail := range map[string]func(*world, *guesttest.Guest){
		"lookup":     func(w *world, _ *guesttest.Guest) { w.lookups = trouble },
		"recording":  func(w *world, _ *guesttest.Guest) { w.recording = trouble },
		"KDS":        func(w *world, g *guesttest.Guest) { g.WithCerts, w.kdsError = false, trouble },
		"revocation": func(w *world, _ *guesttest.Guest) { w.revoked = trouble },
		"policy":     func(w *world, _ *guesttest.Guest) { w.launch.Image.Policy = []byte(`{"version":9}`) },
		"key": func(w *world, _ *guesttest.Guest) {
			w.launch.Image.UnsealingKeySealed = make([]byte, wire.SealedUnsealingKeySize)
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			g := w.guest(t)
			fail(w, g)
			grant, err := w.unlock(t, g.Request(t, w.service.Challenge().Nonce))
			if grant != nil || !errors.Is(err, unlock.ErrUnavailable) || len(w.records) != 0 {
				t.Errorf("got %v, %v, records %v", grant, err, w.records)
			}
			if !slices.Equal(w.observed, []audit.Reason{audit.ReasonUndecided}) {
				t.Errorf("observed %v", w.observed)
			}
		})
	}
}

// TestDenialsAreShort denies a launch of a release with a thousand variants.
func TestDenialsAreShort(t *testing.T) {
	w := newWorld(t)
	w.launch.Release.Variants = make([]store.Variant, 1000)
	_, err := w.unlock(t, w.guest(t).Request(t, w.service.Challenge().Nonce))
	var denial *unlock.Denial
	if !errors.As(err, &denial) || denial.Reason != audit.ReasonMeasurement || len(denial.Error()) > 3000 || len(w.records[0].Expected) > 2000 {
		t.Errorf("got %.200v", err)
	}
}

// TestPolicyChangeCounts edits the policy between two unlocks of one release. Its
// revision says nothing: it may return after a database that lags behind took over.
func TestPolicyChangeCounts(t *testing.T) {
	w := newWorld(t)
	if _, err := w.unlock(t, w.guest(t).Request(t, w.service.Challenge().Nonce)); err != nil {
		t.Fatal(err)
	}
	w.launch.Image.Policy = []byte(`{"version":1,"platform":{"smt":false}}`)
	if _, err := w.unlock(t, w.guest(t).Request(t, w.service.Challenge().Nonce)); err == nil {
		t.Error("the old policy still counts")
	}
}

// TestChangedMeanwhile has an operator change the release while the request is
// decided: nobody looks again, but the database does when it records.
func TestChangedMeanwhile(t *testing.T) {
	for reason, change := range map[audit.Reason]func(*testing.T, *world) error{
		audit.ReasonImageDisabled: func(t *testing.T, w *world) error {
			return w.database.SetImageEnabled(t.Context(), w.launch.Image.ID, false)
		},
		audit.ReasonReleaseRetired: func(t *testing.T, w *world) error {
			return w.database.RetireRelease(t.Context(), w.launch.Release.ID, store.Verdict{By: storetest.Approver})
		},
		audit.ReasonLaunchUnknown: func(t *testing.T, w *world) error {
			_, err := w.database.DeleteImage(t.Context(), w.launch.Image.ID)
			return err
		},
		audit.ReasonPolicyChanged: func(t *testing.T, w *world) error {
			_, err := w.database.UpdateReleasePolicy(t.Context(), w.launch.Release.ID, []byte(`{"version":1,"platform":{"smt":false}}`), 1)
			return err
		},
	} {
		t.Run(string(reason), func(t *testing.T) {
			w := newWorld(t)
			request := w.guest(t).Request(t, w.service.Challenge().Nonce)
			w.meanwhile = func() {
				if err := change(t, w); err != nil {
					t.Error(err)
				}
			}
			grant, err := w.unlock(t, request)
			w.checkDenied(t, grant, err, reason)
		})
	}
}

// TestAskers: what is fetched for a request is at the expense of its address, never
// of the operator, who has no budget.
func TestAskers(t *testing.T) {
	w := newWorld(t)
	g := w.guest(t)
	g.WithCerts = false
	w.kdsError = kds.ErrBudget
	_, err := w.unlock(t, g.Request(t, w.service.Challenge().Nonce))
	if !errors.Is(err, unlock.ErrUnavailable) || len(w.records) != 0 {
		t.Errorf("got %v, recorded %+v", err, w.records)
	}
	if len(w.askers) != 1 || w.askers[0] != (kds.Asker{Block: "2001:db8::/64"}) {
		t.Errorf("KDS is asked by %+v", w.askers)
	}
}

// TestNobodyObserves unlocks where nobody counts.
func TestNobodyObserves(t *testing.T) {
	w := newWorld(t)
	config := w.service.Config
	config.Observe = nil
	w.service = unlock.New(config)
	if grant, err := w.unlock(t, w.guest(t).Request(t, w.service.Challenge().Nonce)); err != nil || grant == nil {
		t.Errorf("got %v, %v", grant, err)
	}
}
