package idblock_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/idblock"
)

func TestParseKeyForms(t *testing.T) {
	keys := readKeys(t)
	private, err := idblock.ParsePrivateKey(keys["id2.sec1.pem"])
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(&private.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	parameters := pem.EncodeToMemory(&pem.Block{Type: "EC PARAMETERS", Bytes: []byte{6, 5, 0x2b, 0x81, 4, 0, 0x22}})
	for name, data := range map[string][]byte{
		"SEC 1":                 keys["id2.sec1.pem"],
		"PKCS #8":               keys["id2.pkcs8.pem"],
		"public":                pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}),
		"parameters then SEC 1": slices.Concat(parameters, keys["id2.sec1.pem"]),
		"text around":           slices.Concat([]byte("my key\n"), keys["id2.sec1.pem"], []byte("end\n")),
	} {
		got, err := idblock.ParsePublicKey(data)
		if err != nil || !got.Equal(&private.PublicKey) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestParseKeyRefuses(t *testing.T) {
	keys := readKeys(t)
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(&p256.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	ed25519Key, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	other, err := x509.MarshalPKIXPublicKey(ed25519Key)
	if err != nil {
		t.Fatal(err)
	}
	sec1 := keys["id1.sec1.pem"]
	for _, tc := range []struct {
		name string
		data []byte
		says string
	}{
		{"empty", nil, "not a PEM file"},
		{"DER", bytes.Repeat([]byte{0x30}, 100), "not a PEM file"},
		{"P-256", keys["wrong_p256.pem"], "P-256, SEV-SNP wants P-384"},
		{"P-256 public", pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}), "P-256"},
		{"Ed25519 public", pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: other}), "not an EC public key"},
		{"RSA", keys["wrong_rsa.pem"], "not an EC private key"},
		{"certificate", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE"}), `only ["CERTIFICATE"]`},
		{"encrypted PKCS #8", pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY"}), "encrypted"},
		{"encrypted SEC 1", pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Headers: map[string]string{"DEK-Info": "AES"}}), "encrypted"},
		{"damaged", bytes.Replace(sec1, []byte("\nMIG"), []byte("\nMIF"), 1), "EC PRIVATE KEY"},
	} {
		_, err := idblock.ParsePublicKey(tc.data)
		if !errors.Is(err, idblock.ErrKey) || !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%s: got %v, want one that says %q", tc.name, err, tc.says)
		}
	}
}

func TestSignRefusesCurves(t *testing.T) {
	good, err := idblock.ParsePrivateKey(readKeys(t)["id1.sec1.pem"])
	if err != nil {
		t.Fatal(err)
	}
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block := idblock.IDBlock{Version: idblock.Version, Policy: idblock.DefaultPolicy}
	if _, err := idblock.Sign(block, p256, good); !errors.Is(err, idblock.ErrKey) {
		t.Errorf("ID key: got %v", err)
	}
	if _, err := idblock.Sign(block, good, p256); !errors.Is(err, idblock.ErrKey) {
		t.Errorf("author key: got %v", err)
	}
	block.Policy = 0
	if _, err := idblock.Sign(block, good, good); !errors.Is(err, idblock.ErrPolicy) {
		t.Errorf("policy: got %v", err)
	}
}
