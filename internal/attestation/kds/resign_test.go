package kds_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha512"
	"encoding/asn1"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/snp"
)

// resignCRL puts other contents into a list and has Milan's ARK sign it, for what
// crypto/x509 does not make itself.
func resignCRL(t *testing.T, w *world, der, tbs []byte) []byte {
	t.Helper()
	var list struct {
		TBS       asn1.RawValue
		Algorithm asn1.RawValue
		Signature asn1.BitString
	}
	if _, err := asn1.Unmarshal(der, &list); err != nil {
		t.Fatal(err)
	}
	digest := sha512.Sum384(tbs)
	signature, err := rsa.SignPSS(rand.Reader, w.amd.Line(snp.Milan).ARK.Key, crypto.SHA384, digest[:],
		&rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
	if err != nil {
		t.Fatal(err)
	}
	list.TBS = asn1.RawValue{FullBytes: tbs}
	list.Signature = asn1.BitString{Bytes: signature, BitLength: 8 * len(signature)}
	out, err := asn1.Marshal(list)
	if err != nil {
		t.Fatal(err)
	}
	return out
}
