package kds_test

import (
	"strings"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/kds"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/snp"
)

func TestParseKey(t *testing.T) {
	chip := strings.Repeat("ab", 64)
	for _, name := range []string{
		"chain-Milan-vcek.pem",
		"chain-Turin-vlek.pem",
		"crl-Genoa-vcek.der",
		"crl-Milan-vlek.der",
		"vcek-Milan-" + chip + "-0301000000000873.der",
		"vcek-Turin-3b42092f69c656d3-0001020300000047.der",
	} {
		key, err := kds.ParseKey(name)
		if err != nil || key.String() != name {
			t.Errorf("%s: got %s, %v", name, key, err)
		}
	}
	for name, bad := range map[string]string{
		"empty":              "",
		"path":               "../chain-Milan-vcek.pem",
		"path inside":        "chain-Milan-vcek.pem/../x",
		"other product":      "chain-Rome-vcek.pem",
		"other kind":         "key-Milan-vcek.pem",
		"other signer":       "chain-Milan-vsek.pem",
		"other suffix":       "chain-Milan-vcek.der",
		"further suffix":     "chain-Milan-vcek.pem.bak",
		"further part":       "chain-Milan-vcek-x.pem",
		"upper case signer":  "chain-Milan-VCEK.pem",
		"upper case chip":    "vcek-Milan-" + strings.ToUpper(chip) + "-0301000000000873.der",
		"short chip":         "vcek-Milan-" + chip[2:] + "-0301000000000873.der",
		"long chip on Turin": "vcek-Turin-" + chip + "-0001020300000047.der",
		"chip ID zero":       "vcek-Turin-0000000000000000-0001020300000047.der",
		"no TCB":             "vcek-Milan-" + chip + ".der",
		"short TCB":          "vcek-Milan-" + chip + "-03010000000008.der",
		"reserved TCB byte":  "vcek-Milan-" + chip + "-0301010000000873.der",
		"NUL":                "chain-Milan-vcek.pem\x00",
	} {
		if key, err := kds.ParseKey(bad); err == nil {
			t.Errorf("%s: %q is %+v", name, bad, key)
		}
	}
}

func TestKeysRefuse(t *testing.T) {
	long := [64]byte{0: 1, 63: 1}
	for name, make := range map[string]func() (kds.Key, error){
		"other product":      func() (kds.Key, error) { return kds.VCEKKey("Rome", long, snp.TCB{}) },
		"hidden chip ID":     func() (kds.Key, error) { return kds.VCEKKey(snp.Milan, [64]byte{}, snp.TCB{}) },
		"long chip on Turin": func() (kds.Key, error) { return kds.VCEKKey(snp.Turin, long, snp.TCB{}) },
		"FMC on Milan":       func() (kds.Key, error) { return kds.VCEKKey(snp.Milan, long, snp.TCB{FMC: 1}) },
		"chain of nobody":    func() (kds.Key, error) { return kds.ChainKey(snp.Milan, 7) },
		"CRL of Rome":        func() (kds.Key, error) { return kds.CRLKey("Rome", snp.SignedByVCEK) },
	} {
		if key, err := make(); err == nil {
			t.Errorf("%s: got %s", name, key)
		}
	}
}

func FuzzParseKey(f *testing.F) {
	f.Add("chain-Milan-vcek.pem")
	f.Add("vcek-Turin-3b42092f69c656d3-0001020300000047.der")
	f.Add("vcek-Milan-" + strings.Repeat("ab", 64) + "-0301000000000873.der")
	f.Fuzz(func(t *testing.T, name string) {
		key, err := kds.ParseKey(name)
		if err == nil && (key.String() != name || strings.ContainsAny(name, "/\\\x00") || strings.HasPrefix(name, ".")) {
			t.Errorf("%q is %+v", name, key)
		}
	})
}
