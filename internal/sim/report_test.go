package sim_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/sha512"
	"math/big"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/snp"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/sim"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/sim/simtest"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/testing/vectors"
)

// Reports of real chips, parsed and encoded again, are the same bytes.
func TestEncodeRealReports(t *testing.T) {
	var index struct {
		Reports []struct {
			File    string `json:"file"`
			Version uint32 `json:"version"`
		} `json:"reports"`
	}
	vectors.ReadJSON(t, "reports/index.json", &index)
	encoded := 0
	for _, entry := range index.Reports {
		if entry.Version < 2 {
			continue
		}
		data := vectors.MustRead(t, "reports/"+entry.File)
		r, err := snp.ParseReport(data)
		if err != nil {
			t.Fatal(err)
		}
		got := sim.EncodeReport(r)
		sim.PutSignature(got, new(big.Int).SetBytes(r.SignatureR[:]), new(big.Int).SetBytes(r.SignatureS[:]))
		if !bytes.Equal(got, data) {
			t.Errorf("%s: encoded report differs", entry.File)
		}
		encoded++
	}
	if encoded != 45 {
		t.Errorf("encoded %d reports, want 45", encoded)
	}
}

func TestSignedReports(t *testing.T) {
	amd := simtest.AMD(t)
	for _, p := range snp.Products() {
		for _, version := range []uint32{2, 3, 4, 5, 6} {
			chip := sim.NewChip(p, "a", tcb(p))
			vek, err := amd.VCEK(chip)
			if err != nil {
				t.Fatal(err)
			}
			template := sim.ReportTemplate(chip)
			template.Version = version
			if version == 2 {
				template.CPUID = nil
			}
			template.ReportData = [64]byte{1, 2, 3}
			data, err := vek.Report(template)
			if err != nil {
				t.Fatal(err)
			}
			r, err := snp.ParseReport(data)
			if err != nil {
				t.Fatalf("%s version %d: %v", p, version, err)
			}
			if r.ReportData != template.ReportData || r.ChipID != chip.ID || r.ReportedTCB != chip.TCB.Bytes(p) {
				t.Errorf("%s version %d: fields differ", p, version)
			}
			if version > 2 {
				if got, err := r.CPUID.Product(); got != p || err != nil {
					t.Errorf("version %d: CPUID is of %s, want %s: %v", version, got, p, err)
				}
			}
			if !verifies(vek, r) {
				t.Errorf("%s version %d: signature does not verify", p, version)
			}
		}
	}
}

func verifies(vek *sim.VEK, r *snp.Report) bool {
	digest := sha512.Sum384(r.Signed())
	return ecdsa.Verify(&vek.Key.PublicKey, digest[:], new(big.Int).SetBytes(r.SignatureR[:]), new(big.Int).SetBytes(r.SignatureS[:]))
}

func TestSignChangedBytes(t *testing.T) {
	chip := sim.NewChip(snp.Milan, "a", tcb(snp.Milan))
	vek, err := simtest.AMD(t).VCEK(chip)
	if err != nil {
		t.Fatal(err)
	}
	data := sim.EncodeReport(sim.ReportTemplate(chip))
	data[0x50] = 0xAA
	if err := vek.Sign(data); err != nil {
		t.Fatal(err)
	}
	r, err := snp.ParseReport(data)
	if err != nil {
		t.Fatal(err)
	}
	if r.ReportData[0] != 0xAA || !verifies(vek, r) {
		t.Error("changed bytes are not signed as they are")
	}
	if err := vek.Sign(data[:snp.SignedSize]); err == nil {
		t.Error("signed a report without room for a signature")
	}
}
