package attest_test

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"os"
	"strings"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/attest"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/snp"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/sim/simtest"
)

// TestEmbeddedCertificates pins what is embedded a second time, by the SHA-256 of
// the DER, and compares it with the chains that other projects keep.
func TestEmbeddedCertificates(t *testing.T) {
	for file, want := range map[string][]string{
		"milan": {
			"ARK-Milan 69d063b45344d26a2e94e1f4210de49ef555308287d4c174445c95639a540bcd",
			"SEV-Milan 67d303bd3905fd38db8b20e0793699870e7fa612eaad5dec358293fd8c0bac1b",
			"SEV-VLEK-Milan c5e081f59b7efab1fe2f8b505e159704e72f29cab7ef7cf628a05a42439082f5",
		},
		"genoa": {
			"ARK-Genoa 4c6598d19c18719c5dfd4a7d335f674e5bfe1d8f800cea2cf270c10d103db2f1",
			"SEV-Genoa 5464738c1546aed5f2cecf1dc98c5c960a92e8913238a61711bc90ec6e828521",
			"SEV-VLEK-Genoa 197e610743a917d6b9bb982a5a9226ccc0a15b611be0619e626aca9151457372",
		},
		"turin": {
			"ARK-Turin 1f084161a44bb6d93778a904877d4819cafa5d05ef4193b2ded9dd9c73dd3f6a",
			"SEV-Turin 5b77ef5fe7a7a004fd9032668fba9d0fda22f88c4442069a479636a6ae3b3185",
			"SEV-VLEK-Turin 104e10a8bd060a3c20a434261a57d0588fd65a88915b4f65b08bdecaf8df1a3c",
		},
	} {
		data, err := os.ReadFile("amd/" + file + ".pem")
		if err != nil {
			t.Fatal(err)
		}
		certs, err := attest.ParseCertificates(data)
		if err != nil || len(certs) != len(want) {
			t.Fatalf("%s: %d certificates, %v", file, len(certs), err)
		}
		for i, cert := range certs {
			digest := sha256.Sum256(cert.Raw)
			if got := cert.Subject.CommonName + " " + hex.EncodeToString(digest[:]); got != want[i] {
				t.Errorf("got %s, want %s", got, want[i])
			}
			if err := cert.CheckSignatureFrom(certs[0]); err != nil {
				t.Errorf("%s: %v", cert.Subject.CommonName, err)
			}
			if name := "chains/" + cert.Subject.CommonName + ".pem"; !strings.Contains(name, "VLEK") || file == "milan" {
				if !bytes.Equal(der(t, name), cert.Raw) {
					t.Errorf("%s differs from %s", cert.Subject.CommonName, name)
				}
			}
		}
	}
}

func TestRootsByProduct(t *testing.T) {
	amd, simulated := attest.AMDRoots(), simRoots(t)
	for _, p := range snp.Products() {
		arks, asks, asvks := amd.ARKs(p), amd.ASKs(p, snp.SignedByVCEK), amd.ASKs(p, snp.SignedByVLEK)
		if len(arks) != 1 || len(asks) != 1 || len(asvks) != 1 {
			t.Fatalf("%s: %d ARKs, %d ASKs, %d ASVKs", p, len(arks), len(asks), len(asvks))
		}
		got := arks[0].Subject.CommonName + " " + asks[0].Subject.CommonName + " " + asvks[0].Subject.CommonName
		if want := "ARK-" + string(p) + " SEV-" + string(p) + " SEV-VLEK-" + string(p); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		if arks := simulated.ARKs(p); len(arks) != 1 || arks[0].Equal(amd.ARKs(p)[0]) || len(simulated.ASKs(p, snp.SignedByVCEK)) != 0 {
			t.Errorf("%s: given roots bring AMD's certificates", p)
		}
	}
}

func TestNewRootsRefuses(t *testing.T) {
	line := simtest.AMD(t).Line(snp.Milan)
	vcek := mustVCEK(t, snp.Milan).vek.Certificate
	for name, certs := range map[string][]*x509.Certificate{
		"none":              nil,
		"ASK":               {line.ASK.Certificate},
		"VCEK":              {vcek},
		"good and bad":      {line.ARK.Certificate, line.ASK.Certificate},
		"wrong name":        {issue(t, line.ARK, named(t, "ARK-Rome"), line.ARK.Key.Public())},
		"not self-signed":   {issue(t, line.ASK, named(t, "ARK-Milan"), line.ASK.Key.Public())},
		"not a CA":          {issue(t, line.ARK, withoutCA(t), line.ARK.Key.Public())},
		"signed by another": {issue(t, simtest.Impostor(t).Line(snp.Milan).ARK, line.ARK.Certificate, line.ARK.Key.Public())},
	} {
		if _, err := attest.NewRoots(certs); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestParseCertificates(t *testing.T) {
	a, b := simtest.AMD(t).Line(snp.Milan).ASK.Certificate.Raw, simtest.AMD(t).Line(snp.Milan).ARK.Certificate.Raw
	encode := func(kind string, der []byte) []byte { return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}) }
	pemA, pemB := encode("CERTIFICATE", a), encode("CERTIFICATE", b)
	for _, tc := range []struct {
		name string
		data []byte
		want int // certificates, 0 for an error
	}{
		{"DER", a, 1},
		{"PEM", pemA, 1},
		{"chain", append(bytes.Clone(pemA), pemB...), 2},
		{"text around PEM", append(append([]byte("an ASK\n"), pemA...), "the end\n"...), 1},
		{"as many as allowed", bytes.Repeat(pemA, 64), 64},
		{"too many", bytes.Repeat(pemA, 65), 0},
		{"too large", append(bytes.Clone(pemA), bytes.Repeat([]byte{'\n'}, attest.MaxCertificatesSize)...), 0},
		{"empty", nil, 0},
		{"garbage", []byte("garbage"), 0},
		{"two in DER", append(bytes.Clone(a), b...), 0},
		{"DER with a byte behind", append(bytes.Clone(a), 0), 0},
		{"DER cut short", a[:len(a)-1], 0},
		{"private key", encode("PRIVATE KEY", a), 0},
		{"certificate and private key", append(bytes.Clone(pemA), encode("PRIVATE KEY", a)...), 0},
		{"PEM of garbage", encode("CERTIFICATE", []byte("garbage")), 0},
		{"good and bad PEM", append(bytes.Clone(pemA), encode("CERTIFICATE", a[1:])...), 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			certs, err := attest.ParseCertificates(tc.data)
			if len(certs) != tc.want || (err == nil) != (tc.want > 0) {
				t.Errorf("got %d certificates, %v, want %d", len(certs), err, tc.want)
			}
			if _, err := attest.ParseCertificate(tc.data); (err == nil) != (tc.want == 1) {
				t.Errorf("read as one certificate: %v", err)
			}
		})
	}
}
