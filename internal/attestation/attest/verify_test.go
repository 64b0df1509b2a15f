package attest_test

import (
	"crypto/elliptic"
	"errors"
	"math/big"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/attest"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/snp"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/sim"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/testing/vectors"
)

// TestWrongReports holds reports that the right key signed, each wrong in one
// way, against the right chain.
func TestWrongReports(t *testing.T) {
	verifier := attest.NewVerifier(simRoots(t))
	milan, turin, vlek := mustVCEK(t, snp.Milan), mustVCEK(t, snp.Turin), mustVLEK(t, snp.Milan)
	genoa := sim.CPUID(snp.Genoa)
	for _, tc := range []struct {
		name   string
		signer signer
		change func(*snp.Report)
		want   attest.Reason // empty: accepted
	}{
		{"Milan", milan, func(*snp.Report) {}, ""},
		{"Turin", turin, func(*snp.Report) {}, ""},
		{"Genoa", mustVCEK(t, snp.Genoa), func(*snp.Report) {}, ""},
		{"VLEK", vlek, func(*snp.Report) {}, ""},
		{"VLEK of Turin", mustVLEK(t, snp.Turin), func(*snp.Report) {}, ""},
		{"VLEK, CHIP_ID not masked", vlek, func(r *snp.Report) { r.ChipID = milan.chip.ID }, ""},
		{"version 2", milan, func(r *snp.Report) { r.Version, r.CPUID = 2, nil }, ""},
		{"version 4", milan, func(r *snp.Report) { r.Version = 4 }, ""},
		{"version 6", milan, func(r *snp.Report) { r.Version = 6 }, ""},
		{"version 5", milan, func(r *snp.Report) { r.Version = 5 }, ""},
		{"Siena", mustVCEK(t, snp.Genoa), func(r *snp.Report) { r.CPUID.Model = 0xA0 }, ""},

		{"chip key masked", milan, func(r *snp.Report) { r.MaskChipKey = true }, attest.ReasonChipKeyMasked},
		{"chip key masked, VLEK", vlek, func(r *snp.Report) { r.MaskChipKey = true }, attest.ReasonChipKeyMasked},
		{"not signed", milan, func(r *snp.Report) { r.SigningKey = snp.NotSigned }, attest.ReasonChipKeyMasked},
		{"VCEK says VLEK", milan, func(r *snp.Report) { r.SigningKey = snp.SignedByVLEK }, attest.ReasonSigningKey},
		{"VLEK says VCEK", vlek, func(r *snp.Report) { r.SigningKey, r.ChipID = snp.SignedByVCEK, milan.chip.ID }, attest.ReasonSigningKey},
		{"CPUID of Genoa", milan, func(r *snp.Report) { r.CPUID = &genoa }, attest.ReasonProduct},
		{"CPUID of Genoa, VLEK", vlek, func(r *snp.Report) { r.CPUID = &genoa }, attest.ReasonProduct},
		{"CPUID of nothing known", milan, func(r *snp.Report) { r.CPUID.Model = 0x50 }, attest.ReasonProduct},
		{"no CPUID", milan, func(r *snp.Report) { r.CPUID = nil }, attest.ReasonProduct},
		{"Turin in version 2", turin, func(r *snp.Report) { r.Version, r.CPUID = 2, nil }, attest.ReasonProduct},
		{"CHIP_ID masked", milan, func(r *snp.Report) { r.ChipID = [snp.ChipIDSize]byte{} }, attest.ReasonChipIDMasked},
		{"CHIP_ID of another chip", milan, func(r *snp.Report) { r.ChipID[63] ^= 1 }, attest.ReasonChipID},
		{"CHIP_ID of another chip, Turin", turin, func(r *snp.Report) { r.ChipID[7] ^= 1 }, attest.ReasonChipID},
		{"CHIP_ID longer than Turin's", turin, func(r *snp.Report) { r.ChipID[8] = 1 }, attest.ReasonChipID},
		{"REPORTED_TCB lower", milan, func(r *snp.Report) { r.ReportedTCB[0]-- }, attest.ReasonTCB},
		{"REPORTED_TCB with another TEE", milan, func(r *snp.Report) { r.ReportedTCB[1]++ }, attest.ReasonTCB},
		{"REPORTED_TCB with another SNP", milan, func(r *snp.Report) { r.ReportedTCB[6]++ }, attest.ReasonTCB},
		{"REPORTED_TCB with another microcode", milan, func(r *snp.Report) { r.ReportedTCB[7]++ }, attest.ReasonTCB},
		{"REPORTED_TCB with another FMC", turin, func(r *snp.Report) { r.ReportedTCB[0]++ }, attest.ReasonTCB},
		{"REPORTED_TCB of another layout", turin, func(r *snp.Report) { r.ReportedTCB = tcb(snp.Turin).Bytes(snp.Milan) }, attest.ReasonTCBReserved},
		{"REPORTED_TCB lower, VLEK", vlek, func(r *snp.Report) { r.ReportedTCB[6]-- }, attest.ReasonTCB},
		{"reserved bits of CURRENT_TCB", milan, func(r *snp.Report) { r.CurrentTCB[2] = 1 }, attest.ReasonTCBReserved},
		{"reserved bits of REPORTED_TCB", milan, func(r *snp.Report) { r.ReportedTCB[5] = 1 }, attest.ReasonTCBReserved},
		{"reserved bits of COMMITTED_TCB", milan, func(r *snp.Report) { r.CommittedTCB[3] = 1 }, attest.ReasonTCBReserved},
		{"reserved bits of LAUNCH_TCB", turin, func(r *snp.Report) { r.LaunchTCB[4] = 1 }, attest.ReasonTCBReserved},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := tc.signer.template()
			tc.change(r)
			_, err := verifier.Verify(tc.signer.sign(t, r), tc.signer.chain, now)
			if tc.want == "" && err == nil {
				return
			}
			if !errors.Is(err, tc.want) {
				t.Errorf("got %v, want %v", err, tc.want)
			}
		})
	}
}

func TestWrongSignatures(t *testing.T) {
	verifier := attest.NewVerifier(simRoots(t))
	s := mustVCEK(t, snp.Milan)
	good, err := s.vek.Report(s.template())
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := snp.ParseReport(good)
	if err != nil {
		t.Fatal(err)
	}
	order := elliptic.P384().Params().N
	r, sc := new(big.Int).SetBytes(parsed.SignatureR[:]), new(big.Int).SetBytes(parsed.SignatureS[:])
	one, zero := big.NewInt(1), new(big.Int)
	largest := new(big.Int).Sub(new(big.Int).Lsh(one, 384), one)
	for _, tc := range []struct {
		name string
		r, s *big.Int
		want attest.Reason
	}{
		{"R is 0", zero, sc, attest.ReasonSignatureRange},
		{"S is 0", r, zero, attest.ReasonSignatureRange},
		{"both are 0", zero, zero, attest.ReasonSignatureRange},
		{"R is the order", order, sc, attest.ReasonSignatureRange},
		{"S is the order", r, order, attest.ReasonSignatureRange},
		{"R has all bits", largest, sc, attest.ReasonSignatureRange},
		{"S has all bits", r, largest, attest.ReasonSignatureRange},
		{"R is the largest in range", new(big.Int).Sub(order, one), sc, attest.ReasonSignature},
		{"S is the largest in range", r, new(big.Int).Sub(order, one), attest.ReasonSignature},
		{"R is 1", one, sc, attest.ReasonSignature},
		{"R and S swapped", sc, r, attest.ReasonSignature},
	} {
		t.Run(tc.name, func(t *testing.T) {
			forged := append([]byte(nil), good...)
			sim.PutSignature(forged, tc.r, tc.s)
			report, err := snp.ParseReport(forged)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := verifier.Verify(report, s.chain, now); !errors.Is(err, tc.want) {
				t.Errorf("got %v, want %v", err, tc.want)
			}
		})
	}
}

// TestFlippedBytes changes the bytes of real reports in turn.
func TestFlippedBytes(t *testing.T) {
	verifier := attest.NewVerifier(attest.AMDRoots())
	for _, sample := range []struct {
		report, cert string
		step         int
	}{
		{"turin-v5-vcek-56b3ee5497.bin", "certs/vcek-turin-b8a8f27c2c.der", 1},
		{"milan-v2-vlek-affb92f91b.bin", "certs/vlek-milan-1667eb6108.der", 13},
	} {
		t.Run(sample.report, func(t *testing.T) {
			data := vectors.MustRead(t, "reports/"+sample.report)
			chain := attest.Chain{VEK: der(t, sample.cert)}
			i := readIndex(t)
			at, _ := i.cert(t, sample.cert).dates(t)
			for offset := 0; offset < len(data); offset += sample.step {
				flip := byte(1) << (offset % 8)
				data[offset] ^= flip
				if report, err := snp.ParseReport(data); err == nil {
					if _, err := verifier.Verify(report, chain, at); err == nil {
						t.Errorf("genuine with byte %#x changed", offset)
					}
				}
				data[offset] ^= flip
			}
			report, err := snp.ParseReport(data)
			if err == nil {
				_, err = verifier.Verify(report, chain, at)
			}
			if err != nil {
				t.Errorf("not genuine as it was: %v", err)
			}
		})
	}
}

func TestRefusalSentence(t *testing.T) {
	s := mustVCEK(t, snp.Milan)
	r := s.template()
	r.ReportedTCB[6]--
	_, err := attest.NewVerifier(simRoots(t)).Verify(s.sign(t, r), s.chain, now)
	want := "the report has another TCB than the certificate: REPORTED_TCB" +
		": found fmc=0 bootloader=3 tee=1 snp=7 microcode=115, want fmc=0 bootloader=3 tee=1 snp=8 microcode=115"
	var refusal *attest.Refusal
	if !errors.As(err, &refusal) || err.Error() != want {
		t.Errorf("got %q, want %q", err, want)
	}
	inner := &attest.Refusal{Reason: attest.ReasonCertificateFormat, Subject: "VEK", Err: snp.ErrExtensions}
	if want := "a certificate is malformed: VEK: malformed SEV certificate extensions"; inner.Error() != want || !errors.Is(inner, snp.ErrExtensions) {
		t.Errorf("got %q, want %q", inner, want)
	}
}
