package attest_test

import (
	"bytes"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/attest"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/snp"
)

func TestProvenChainsStayHonest(t *testing.T) {
	verifier := attest.NewVerifier(simRoots(t))
	s := mustVCEK(t, snp.Milan)
	report := s.sign(t, s.template())
	verify := func(c attest.Chain, at time.Time) error {
		_, err := verifier.Verify(report, c, at)
		return err
	}
	if err := verify(s.chain, now); err != nil {
		t.Fatal(err)
	}
	// A proven chain expires all the same.
	if err := verify(s.chain, now.AddDate(10, 0, 0)); !errors.Is(err, attest.ReasonCertificateTime) {
		t.Errorf("expired: got %v, want %v", err, attest.ReasonCertificateTime)
	}
	// It proves no other chain, in which anything is different.
	impostor := vcekOf(t, simImpostor(t), snp.Milan)
	for name, c := range map[string]attest.Chain{
		"VEK": {VEK: impostor.chain.VEK, ASK: s.chain.ASK, ARK: s.chain.ARK},
		"ASK": {VEK: s.chain.VEK, ASK: impostor.chain.ASK, ARK: s.chain.ARK},
		"ARK": {VEK: s.chain.VEK, ASK: s.chain.ASK, ARK: impostor.chain.ARK},
		"cut": {VEK: s.chain.VEK, ASK: append(bytes.Clone(s.chain.ASK), s.chain.ARK...)},
	} {
		if err := verify(c, now); err == nil {
			t.Errorf("another %s: accepted", name)
		}
	}
	// It is still the same when the caller uses the memory for something else.
	chain := attest.Chain{VEK: bytes.Clone(s.chain.VEK), ASK: bytes.Clone(s.chain.ASK), ARK: bytes.Clone(s.chain.ARK)}
	fresh := attest.NewVerifier(simRoots(t))
	if _, err := fresh.Verify(report, chain, now); err != nil {
		t.Fatal(err)
	}
	clear(chain.VEK)
	clear(chain.ASK)
	if got, err := fresh.Verify(report, s.chain, now); err != nil || !bytes.Equal(got.Chain[0].Raw, s.chain.VEK) {
		t.Errorf("after its memory was used: %v", err)
	}
}

func TestVerifyConcurrently(t *testing.T) {
	verifier := attest.NewVerifier(simRoots(t))
	signers := []signer{mustVCEK(t, snp.Milan), mustVCEK(t, snp.Turin), mustVLEK(t, snp.Genoa)}
	var all sync.WaitGroup
	for i := range 12 {
		s := signers[i%len(signers)]
		good, bad := s.sign(t, s.template()), s.sign(t, s.template())
		bad.SignatureS[47] ^= 1
		all.Go(func() {
			for range 5 {
				if _, err := verifier.Verify(good, s.chain, now); err != nil {
					t.Error(err)
				}
				if _, err := verifier.Verify(bad, s.chain, now); !errors.Is(err, attest.ReasonSignature) {
					t.Errorf("got %v, want %v", err, attest.ReasonSignature)
				}
			}
		})
	}
	all.Wait()
}
