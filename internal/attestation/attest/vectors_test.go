package attest_test

import (
	"encoding/hex"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/attest"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/snp"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/testing/vectors"
)

// index is testdata/reports/index.json: real reports and certificates.
type index struct {
	Reports []indexedReport `json:"reports"`
	Certs   []indexedCert   `json:"certs"`
}

type indexedReport struct {
	File           string   `json:"file"`
	Version        uint32   `json:"version"`
	SigningKey     string   `json:"signing_key"`
	Endorsement    []string `json:"endorsement"`
	Chain          []string `json:"chain"` // ASK or ASVK, ARK
	Valid          bool     `json:"valid"`
	Classification string   `json:"classification"`
}

type indexedCert struct {
	File      string   `json:"file"`
	Kind      string   `json:"kind"`
	Product   string   `json:"product_ext"`
	HWID      string   `json:"hwid"`
	CSPID     string   `json:"csp_id"`
	NotBefore string   `json:"not_before"`
	NotAfter  string   `json:"not_after"`
	Chain     []string `json:"chain"` // nil when no chain leads to AMD
}

func readIndex(tb testing.TB) index {
	tb.Helper()
	var i index
	vectors.ReadJSON(tb, "reports/index.json", &i)
	if len(i.Reports) != 48 || len(i.Certs) != 37 {
		tb.Fatalf("%d reports and %d certificates, want 48 and 37", len(i.Reports), len(i.Certs))
	}
	return i
}

// cert returns what the index says of a certificate.
func (i index) cert(tb testing.TB, file string) indexedCert {
	tb.Helper()
	for _, c := range i.Certs {
		if c.File == file {
			return c
		}
	}
	tb.Fatalf("index has no %s", file)
	return indexedCert{}
}

// dates returns the validity of a certificate.
func (c indexedCert) dates(tb testing.TB) (notBefore, notAfter time.Time) {
	tb.Helper()
	notBefore, err := time.Parse(time.DateTime, c.NotBefore)
	if err != nil {
		tb.Fatal(err)
	}
	notAfter, err = time.Parse(time.DateTime, c.NotAfter)
	if err != nil {
		tb.Fatal(err)
	}
	return notBefore, notAfter
}

// readReport parses a report that is known to parse.
func readReport(tb testing.TB, file string) *snp.Report {
	tb.Helper()
	r, err := snp.ParseReport(vectors.MustRead(tb, "reports/"+file))
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

// der reads a certificate, DER or PEM, and returns its DER.
func der(tb testing.TB, file string) []byte {
	tb.Helper()
	cert, err := attest.ParseCertificate(vectors.MustRead(tb, "reports/"+file))
	if err != nil {
		tb.Fatal(err)
	}
	return cert.Raw
}

func TestVerifyRealReports(t *testing.T) {
	i := readIndex(t)
	verifier := attest.NewVerifier(attest.AMDRoots())
	kinds := make(map[string]int)
	for _, want := range i.Reports {
		if !want.Valid {
			continue
		}
		report := readReport(t, want.File)
		for _, file := range want.Endorsement {
			t.Run(want.File+" "+file, func(t *testing.T) {
				cert := i.cert(t, file)
				notBefore, notAfter := cert.dates(t)
				for _, chain := range []attest.Chain{
					{VEK: der(t, file)},
					{VEK: der(t, file), ASK: der(t, want.Chain[0]), ARK: der(t, want.Chain[1])},
				} {
					for _, at := range []time.Time{notBefore, notAfter} {
						got, err := verifier.Verify(report, chain, at)
						if err != nil {
							t.Fatal(err)
						}
						checkVerified(t, got, cert)
					}
					for _, at := range []time.Time{notBefore.Add(-time.Second), notAfter.Add(time.Second), {}} {
						if _, err := verifier.Verify(report, chain, at); !errors.Is(err, attest.ReasonCertificateTime) {
							t.Errorf("at %s: got %v, want %v", at, err, attest.ReasonCertificateTime)
						}
					}
				}
				kinds[cert.Product[:5]+want.SigningKey]++
			})
		}
	}
	for _, kind := range []string{"MilanVCEK", "MilanVLEK", "GenoaVCEK", "TurinVCEK"} {
		if kinds[kind] == 0 {
			t.Errorf("no report of kind %s", kind)
		}
	}
}

func checkVerified(t *testing.T, got *attest.Verified, want indexedCert) {
	t.Helper()
	line, _, _ := strings.Cut(want.Product, "-")
	if got.ProductName != want.Product || string(got.Product) != line || got.SigningKey.String() != want.Kind || got.CSPID != want.CSPID {
		t.Errorf("got %s, %s, %s, CSP ID %q", got.ProductName, got.Product, got.SigningKey, got.CSPID)
	}
	if !got.Root.AMD || got.Root.Name != "ARK-"+line || len(got.Chain) != 3 {
		t.Errorf("got root %+v and %d certificates", got.Root, len(got.Chain))
	}
}

// TestRefuseRealReports holds every report that nobody could verify against each
// certificate of its kind.
func TestRefuseRealReports(t *testing.T) {
	i := readIndex(t)
	verifier := attest.NewVerifier(attest.AMDRoots())
	for _, bad := range i.Reports {
		if bad.Valid {
			continue
		}
		t.Run(bad.File, func(t *testing.T) {
			report, err := snp.ParseReport(vectors.MustRead(t, "reports/"+bad.File))
			if bad.Version < 2 {
				if !errors.Is(err, snp.ErrReportVersion) {
					t.Errorf("got %v, want %v", err, snp.ErrReportVersion)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			for _, cert := range i.Certs {
				notBefore, _ := cert.dates(t)
				_, err := verifier.Verify(report, attest.Chain{VEK: der(t, cert.File)}, notBefore)
				if want := expectedRefusal(t, report, cert); !errors.Is(err, want) {
					t.Errorf("%s: got %v, want %v", cert.File, err, want)
				}
			}
		})
	}
}

// expectedRefusal says why a certificate does not make a report genuine.
func expectedRefusal(t *testing.T, r *snp.Report, cert indexedCert) attest.Reason {
	t.Helper()
	parsed, err := attest.ParseCertificate(vectors.MustRead(t, "reports/"+cert.File))
	if err != nil {
		t.Fatal(err)
	}
	e, err := snp.ParseExtensions(parsed)
	if err != nil {
		t.Fatal(err)
	}
	switch {
	case cert.Chain == nil:
		return attest.ReasonCertificateSignature
	case r.SigningKey.String() != cert.Kind:
		return attest.ReasonSigningKey
	case r.CPUID == nil && cert.Product == "Turin":
		return attest.ReasonProduct
	case hex.EncodeToString(r.ChipID[:]) != cert.HWID:
		return attest.ReasonChipID
	case e.TCB.Bytes(e.Product) != r.ReportedTCB:
		return attest.ReasonTCB
	}
	return attest.ReasonSignature // the right certificate, an altered report
}

func TestMismatchedRealCertificates(t *testing.T) {
	i := readIndex(t)
	verifier := attest.NewVerifier(attest.AMDRoots())
	for _, report := range i.Reports {
		if !report.Valid {
			continue
		}
		r := readReport(t, report.File)
		for _, cert := range i.Certs {
			if strings.Contains(strings.Join(report.Endorsement, " "), cert.File) {
				continue
			}
			notBefore, _ := cert.dates(t)
			if _, err := verifier.Verify(r, attest.Chain{VEK: der(t, cert.File)}, notBefore); err == nil {
				t.Errorf("%s is genuine with %s", report.File, cert.File)
			}
		}
	}
}
