package snp_test

import (
	"bytes"
	"crypto/x509"
	"errors"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/snp"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/testing/vectors"
)

// indexedReport is one report of testdata/reports/index.json.
type indexedReport struct {
	File       string   `json:"file"`
	Version    uint32   `json:"version"`
	CPUID      []uint8  `json:"cpuid_fms"`
	SigningKey string   `json:"signing_key"`
	VMPL       uint32   `json:"vmpl"`
	Reported   tcbEntry `json:"reported_tcb"`
	Launch     tcbEntry `json:"launch_tcb"`
}

type tcbEntry struct {
	FMC   uint8 `json:"fmc"`
	BL    uint8 `json:"bl"`
	TEE   uint8 `json:"tee"`
	SNP   uint8 `json:"snp"`
	Ucode uint8 `json:"ucode"`
}

func (e tcbEntry) tcb() snp.TCB {
	return snp.TCB{FMC: e.FMC, BootLoader: e.BL, TEE: e.TEE, SNP: e.SNP, Microcode: e.Ucode}
}

func TestParseRealReports(t *testing.T) {
	var index struct {
		Reports []indexedReport `json:"reports"`
	}
	vectors.ReadJSON(t, "reports/index.json", &index)
	if len(index.Reports) != 48 {
		t.Fatalf("%d reports, want 48", len(index.Reports))
	}
	for _, want := range index.Reports {
		t.Run(want.File, func(t *testing.T) {
			data := vectors.MustRead(t, "reports/"+want.File)
			r, err := snp.ParseReport(data)
			if want.Version < 2 {
				if !errors.Is(err, snp.ErrReportVersion) {
					t.Errorf("got %v, want %v", err, snp.ErrReportVersion)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			checkFields(t, r, want)
			if !bytes.Equal(r.Bytes(), data) || !bytes.Equal(r.Signed(), data[:snp.SignedSize]) {
				t.Error("report does not hold its own bytes")
			}
		})
	}
}

func checkFields(t *testing.T, r *snp.Report, want indexedReport) {
	t.Helper()
	if r.Version != want.Version || r.VMPL != want.VMPL || r.SigningKey.String() != want.SigningKey {
		t.Errorf("got version %d, VMPL %d, %s", r.Version, r.VMPL, r.SigningKey)
	}
	product := snp.Milan
	if r.CPUID != nil {
		if got := []uint8{r.CPUID.Family, r.CPUID.Model, r.CPUID.Stepping}; !bytes.Equal(got, want.CPUID) {
			t.Errorf("got CPUID %v, want %v", got, want.CPUID)
		}
		var err error
		if product, err = r.CPUID.Product(); err != nil {
			t.Fatal(err)
		}
	}
	for _, tc := range []struct {
		name string
		raw  [snp.TCBSize]byte
		want tcbEntry
	}{{"reported", r.ReportedTCB, want.Reported}, {"launch", r.LaunchTCB, want.Launch}} {
		got, err := snp.ParseTCB(product, tc.raw)
		if err != nil || got != tc.want.tcb() {
			t.Errorf("%s TCB: got %v, %v, want %v", tc.name, got, err, tc.want.tcb())
		}
	}
}

func TestParseRealExtensions(t *testing.T) {
	var index struct {
		Certs []struct {
			File        string   `json:"file"`
			ProductName string   `json:"product_ext"`
			HWID        string   `json:"hwid"`
			CSPID       string   `json:"csp_id"`
			TCB         tcbEntry `json:"tcb"`
		} `json:"certs"`
	}
	vectors.ReadJSON(t, "reports/index.json", &index)
	if len(index.Certs) != 37 {
		t.Fatalf("%d certificates, want 37", len(index.Certs))
	}
	for _, want := range index.Certs {
		t.Run(want.File, func(t *testing.T) {
			cert, err := x509.ParseCertificate(vectors.MustRead(t, "reports/"+want.File))
			if err != nil {
				t.Fatal(err)
			}
			got, err := snp.ParseExtensions(cert)
			if err != nil {
				t.Fatal(err)
			}
			if got.ProductName != want.ProductName || got.TCB != want.TCB.tcb() || got.CSPID != want.CSPID {
				t.Errorf("got %+v, want %+v", got, want)
			}
			again, err := got.Marshal()
			if err != nil {
				t.Fatal(err)
			}
			round, err := snp.ParseExtensions(&x509.Certificate{Extensions: again})
			if err != nil || round.TCB != got.TCB || !bytes.Equal(round.HardwareID, got.HardwareID) {
				t.Errorf("encoded and decoded: %+v, %v", round, err)
			}
		})
	}
}
