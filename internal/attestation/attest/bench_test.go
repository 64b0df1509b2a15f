package attest_test

import (
	"crypto/ecdsa"
	"crypto/sha512"
	"math/big"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/attest"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/snp"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/testing/ratio"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/testing/vectors"
)

// BenchmarkRatioVerify compares reading and verifying a report, whose
// certificates were seen before, and judging it, with nothing but its signature.
func BenchmarkRatioVerify(b *testing.B) {
	data := vectors.MustRead(b, "reports/turin-v5-vcek-56b3ee5497.bin")
	i := readIndex(b)
	at, _ := i.cert(b, "certs/vcek-turin-b8a8f27c2c.der").dates(b)
	chain := attest.Chain{
		VEK: der(b, "certs/vcek-turin-b8a8f27c2c.der"), ASK: der(b, "chains/SEV-Turin.pem"), ARK: der(b, "chains/ARK-Turin.pem"),
	}
	verifier := attest.NewVerifier(attest.AMDRoots())
	policy := &attest.Policy{Version: attest.PolicyVersion}
	verify := func() {
		report, err := snp.ParseReport(data)
		if err != nil {
			b.Fatal(err)
		}
		verified, err := verifier.Verify(report, chain, at)
		if err != nil || !attest.Evaluate(verified, policy).Acceptable() {
			b.Fatal(err)
		}
	}
	verify() // proves the chain
	ratio.Compare(b, "x-p384-verify", 1.3, bareVerify(b, data, chain), verify)
}

// bareVerify returns the least that a verification has to do.
func bareVerify(b *testing.B, data []byte, chain attest.Chain) func() {
	b.Helper()
	report, err := snp.ParseReport(data)
	if err != nil {
		b.Fatal(err)
	}
	cert, err := attest.ParseCertificate(chain.VEK)
	if err != nil {
		b.Fatal(err)
	}
	key, ok := cert.PublicKey.(*ecdsa.PublicKey)
	if !ok {
		b.Fatalf("key is a %T", cert.PublicKey)
	}
	digest := sha512.Sum384(report.Signed())
	r, s := new(big.Int).SetBytes(report.SignatureR[:]), new(big.Int).SetBytes(report.SignatureS[:])
	return func() {
		if !ecdsa.Verify(key, digest[:], r, s) {
			b.Fatal("signature is wrong")
		}
	}
}
