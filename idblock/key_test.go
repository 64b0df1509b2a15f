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
	sec1, _ := pem.Decode(keys["id2.sec1.pem"])
	pkcs8, _ := pem.Decode(keys["id2.pkcs8.pem"])
	point := der[len(der)-97:]
	x, y := elliptic.Unmarshal(elliptic.P384(), point) //nolint:staticcheck // there is no other way to compress a point
	compressed := elliptic.MarshalCompressed(elliptic.P384(), x, y)
	// The lengths of the SEQUENCE and of the BIT STRING in front of a point of 49 bytes.
	short := slices.Concat([]byte{0x30, 0x46}, der[2:len(der)-97-3], []byte{3, 50, 0}, compressed)
	for name, data := range map[string][]byte{
		"DER, SEC 1":            sec1.Bytes,
		"DER, PKCS #8":          pkcs8.Bytes,
		"DER, public":           der,
		"DER, compressed":       short,
		"PEM, compressed":       pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: short}),
		"point":                 point,
		"compressed point":      compressed,
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
		{"empty", nil, "neither PEM nor a key in DER"},
		{"DER of nothing", bytes.Repeat([]byte{0x30}, 100), "neither PEM nor a key in DER"},
		{"P-256 in DER", public, "P-256"},
		{"DER with more behind it", append(slices.Clone(public), 0), "neither PEM nor a key in DER"},
		{"point that is not on the curve", append([]byte{4}, make([]byte, 96)...), "not on the curve"},
		{"compressed point that is not on the curve", append([]byte{2}, bytes.Repeat([]byte{0xff}, 48)...), "not on the curve"},
		{"damaged public key", pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public[1:]}), "PUBLIC KEY: "},
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
