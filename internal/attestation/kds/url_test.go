package kds

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/snp"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/testing/vectors"
)

func TestURLs(t *testing.T) {
	id := [64]byte{0: 0xab, 63: 0xcd}
	for want, k := range map[string]Key{
		fmt.Sprintf("/vcek/v1/Milan/ab%scd?blSPL=03&teeSPL=09&snpSPL=22&ucodeSPL=213", strings.Repeat("00", 62)): {
			Kind: KindVCEK, Product: snp.Milan, ChipID: id, TCB: snp.TCB{BootLoader: 3, TEE: 9, SNP: 22, Microcode: 213},
		},
		"/vcek/v1/Milan/cert_chain": {Kind: KindChain, Product: snp.Milan},
		"/vlek/v1/Genoa/cert_chain": {Kind: KindChain, Product: snp.Genoa, Signer: snp.SignedByVLEK},
		"/vcek/v1/Turin/crl":        {Kind: KindCRL, Product: snp.Turin},
		"/vlek/v1/Milan/crl":        {Kind: KindCRL, Product: snp.Milan, Signer: snp.SignedByVLEK},
		"/vcek/v1/Turin/3b42092f69c656d3?blSPL=01&teeSPL=00&snpSPL=02&ucodeSPL=71&fmcSPL=03": {
			Kind: KindVCEK, Product: snp.Turin, ChipID: [64]byte{0x3b, 0x42, 0x09, 0x2f, 0x69, 0xc6, 0x56, 0xd3},
			TCB: snp.TCB{FMC: 3, BootLoader: 1, SNP: 2, Microcode: 71},
		},
	} {
		if got := urlPath(k); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

// AMD's certificates say themselves where their revocation lists are.
func TestCRLURLsOfRealCertificates(t *testing.T) {
	for file, k := range map[string]Key{
		"SEV-Milan":      {Kind: KindCRL, Product: snp.Milan},
		"SEV-Genoa":      {Kind: KindCRL, Product: snp.Genoa},
		"SEV-Turin":      {Kind: KindCRL, Product: snp.Turin},
		"SEV-VLEK-Milan": {Kind: KindCRL, Product: snp.Milan, Signer: snp.SignedByVLEK},
	} {
		block, _ := pem.Decode(vectors.MustRead(t, "reports/chains/"+file+".pem"))
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		if got := AMD + urlPath(k); !slices.Equal(cert.CRLDistributionPoints, []string{got}) {
			t.Errorf("%s: got %s, want %s", file, got, cert.CRLDistributionPoints)
		}
	}
}

func TestParseBaseURL(t *testing.T) {
	for in, want := range map[string]string{
		"https://kdsintf.amd.com":       AMD,
		"https://kdsintf.amd.com/":      AMD,
		"http://127.0.0.1:8080":         "http://127.0.0.1:8080",
		"https://mirror.example/a/kds/": "https://mirror.example/a/kds",
		"":                              "",
		"kdsintf.amd.com":               "",
		"ftp://kdsintf.amd.com":         "",
		"https:///x":                    "",
		"https://u:p@kdsintf.amd.com":   "",
		"https://kdsintf.amd.com?x=1":   "",
		"https://kdsintf.amd.com?":      "",
		"https://kdsintf.amd.com#x":     "",
		"https://kdsintf.amd.com:x":     "",
	} {
		got, err := parseBaseURL(in)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q: got %q, %v, want %q", in, got, err, want)
		}
	}
}
