package idblock_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha512"
	"crypto/x509"
	"encoding/asn1"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/idblock"
)

// signed returns a valid ID block with its authentication information, and the
// bytes of both.
func signed(tb testing.TB) (block, auth []byte) {
	tb.Helper()
	keys := readKeys(tb)
	idKey, err := idblock.ParsePrivateKey(keys["id1.sec1.pem"])
	if err != nil {
		tb.Fatal(err)
	}
	authorKey, err := idblock.ParsePrivateKey(keys["author1.sec1.pem"])
	if err != nil {
		tb.Fatal(err)
	}
	b := idblock.IDBlock{
		LaunchDigest: [48]byte{1}, FamilyID: [16]byte{2}, ImageID: [16]byte{3},
		Version: idblock.Version, GuestSVN: 4, Policy: idblock.DefaultPolicy | idblock.PolicySingleSocket | 31,
	}
	a, err := idblock.Sign(b, idKey, authorKey)
	if err != nil {
		tb.Fatal(err)
	}
	auth, err = a.Bytes()
	if err != nil {
		tb.Fatal(err)
	}
	return b.Bytes(), auth
}

func TestSignIsReproducible(t *testing.T) {
	_, first := signed(t)
	_, second := signed(t)
	if !bytes.Equal(first, second) {
		t.Error("the same inputs gave different bytes")
	}
}

func TestSignWithoutAuthorKey(t *testing.T) {
	idKey, err := idblock.ParsePrivateKey(readKeys(t)["id1.sec1.pem"])
	if err != nil {
		t.Fatal(err)
	}
	block := idblock.IDBlock{Version: idblock.Version, Policy: idblock.DefaultPolicy}
	auth, err := idblock.Sign(block, idKey, nil)
	if err != nil {
		t.Fatal(err)
	}
	data, err := auth.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := idblock.ParseAuthentication(data)
	if err != nil || parsed.AuthorKey != nil {
		t.Fatalf("got %+v, %v", parsed, err)
	}
	if err := parsed.Verify(block); err != nil {
		t.Error(err)
	}
}

// TestVerifyRefusesEveryFlippedByte flips each byte of both structures in turn.
func TestVerifyRefusesEveryFlippedByte(t *testing.T) {
	block, auth := signed(t)
	accepted := func(block, auth []byte) bool {
		b, err := idblock.Parse(block)
		if err != nil {
			return false
		}
		a, err := idblock.ParseAuthentication(auth)
		return err == nil && a.Verify(b) == nil
	}
	if !accepted(block, auth) {
		t.Fatal("the unchanged structures are refused")
	}
	for i := range block {
		changed := bytes.Clone(block)
		changed[i] ^= 0x01
		if accepted(changed, auth) {
			t.Errorf("ID block with byte %#x flipped is accepted", i)
		}
	}
	for i := range auth {
		changed := bytes.Clone(auth)
		changed[i] ^= 0x01
		if accepted(block, changed) {
			t.Errorf("ID authentication information with byte %#x flipped is accepted", i)
		}
	}
}

func TestVerifyRefusesAnotherKey(t *testing.T) {
	blockBytes, authBytes := signed(t)
	block, err := idblock.Parse(blockBytes)
	if err != nil {
		t.Fatal(err)
	}
	other, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, swap := range map[string]func(*idblock.Authentication){
		"ID key":     func(a *idblock.Authentication) { a.IDKey = &other.PublicKey },
		"author key": func(a *idblock.Authentication) { a.AuthorKey = &other.PublicKey },
	} {
		auth, err := idblock.ParseAuthentication(authBytes)
		if err != nil {
			t.Fatal(err)
		}
		swap(auth)
		if err := auth.Verify(block); !errors.Is(err, idblock.ErrSignature) {
			t.Errorf("another %s: got %v", name, err)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	block, auth := signed(t)
	for _, tc := range []struct {
		name   string
		offset int
		with   []byte
		want   error
	}{
		{"version 0", 0x50, []byte{0}, idblock.ErrMalformed},
		{"version 2", 0x50, []byte{2}, idblock.ErrMalformed},
		{"policy bit 17", 0x5A, []byte{0x01}, idblock.ErrPolicy},
		{"policy bit 26", 0x5B, []byte{0x04}, idblock.ErrPolicy},
		{"policy bit 63", 0x5F, []byte{0x80}, idblock.ErrPolicy},
	} {
		if _, err := idblock.Parse(patched(block, tc.offset, tc.with)); !errors.Is(err, tc.want) {
			t.Errorf("%s: got %v, want %v", tc.name, err, tc.want)
		}
	}
	order := elliptic.P384().Params().N.Bytes()
	slices.Reverse(order)
	for _, tc := range []struct {
		name   string
		offset int
		with   []byte
		says   string
	}{
		{"ID key algorithm", 0x0, []byte{2}, "ID key algorithm 2"},
		{"author key algorithm", 0x4, []byte{2}, "author key algorithm 2"},
		{"author key without algorithm", 0x4, []byte{0}, "author key without an algorithm"},
		{"reserved 1", 0x3F, []byte{1}, "reserved"},
		{"reserved 2", 0x67F, []byte{1}, "reserved"},
		{"reserved 3", 0xFFF, []byte{1}, "reserved"},
		{"curve", 0x240, []byte{1}, "curve 1"},
		{"QX too large", 0x244 + 48, []byte{1}, "reserved"},
		{"QY off the curve", 0x240 + 0x4C, []byte{0, 0, 0}, "ID key"},
		{"key end", 0x640, []byte{1}, "reserved"},
		{"R zero", 0x40, make([]byte, 48), "out of range"},
		{"S is the order", 0x40 + 0x48, order, "out of range"},
		{"R too large", 0x40 + 48, []byte{1}, "reserved"},
		{"signature end", 0x23F, []byte{1}, "reserved"},
		{"author key off the curve", 0x884, []byte{0, 0, 0}, "author key"},
		{"author signature", 0x680 + 48, []byte{1}, "signature of the ID key"},
	} {
		_, err := idblock.ParseAuthentication(patched(auth, tc.offset, tc.with))
		if !errors.Is(err, idblock.ErrMalformed) || !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%s: got %v, want one that says %q", tc.name, err, tc.says)
		}
	}
	for _, n := range []int{0, idblock.Size - 1, idblock.Size + 1} {
		if _, err := idblock.Parse(make([]byte, n)); !errors.Is(err, idblock.ErrMalformed) {
			t.Errorf("ID block of %d bytes: got %v", n, err)
		}
	}
	for _, n := range []int{0, idblock.AuthenticationSize - 1, idblock.AuthenticationSize + 1} {
		if _, err := idblock.ParseAuthentication(make([]byte, n)); !errors.Is(err, idblock.ErrMalformed) {
			t.Errorf("ID authentication information of %d bytes: got %v", n, err)
		}
	}
}

func patched(data []byte, offset int, with []byte) []byte {
	data = bytes.Clone(data)
	copy(data[offset:], with)
	return data
}

// TestOpenSSLAgrees has OpenSSL, which knows nothing of the ABI, check the
// signature of an ID block.
func TestOpenSSLAgrees(t *testing.T) {
	block, auth := signed(t)
	number := func(field []byte) *big.Int {
		b := bytes.Clone(field[:48])
		slices.Reverse(b)
		return new(big.Int).SetBytes(b)
	}
	der, err := asn1.Marshal(struct{ R, S *big.Int }{number(auth[0x40:]), number(auth[0x88:])})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	files := map[string][]byte{"key.pem": readKeys(t)["id1.sec1.pem"], "block": block, "signature": der}
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command("openssl", "dgst", "-sha384", "-prverify", "key.pem", "-signature", "signature", "block")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("openssl (Debian package openssl): %v\n%s", err, out)
	}
}

// FuzzParse checks that what was parsed encodes to the same bytes.
func FuzzParse(f *testing.F) {
	block, _ := signed(f)
	f.Add(block)
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := idblock.Parse(data)
		if err == nil && !bytes.Equal(b.Bytes(), data) {
			t.Errorf("encodes to %x", b.Bytes())
		}
	})
}

// FuzzParsePublicKey checks that what was parsed can be written, and reads the same.
func FuzzParsePublicKey(f *testing.F) {
	for _, key := range readKeys(f) {
		f.Add(key)
		if block, _ := pem.Decode(key); block != nil {
			f.Add(block.Bytes)
		}
	}
	f.Add(append([]byte{2}, make([]byte, 48)...))
	f.Add(append([]byte{4}, make([]byte, 96)...))
	f.Fuzz(func(t *testing.T, data []byte) {
		key, err := idblock.ParsePublicKey(data)
		if err != nil {
			if !errors.Is(err, idblock.ErrKey) || key != nil {
				t.Errorf("got %v with %v", key, err)
			}
			return
		}
		der, err := x509.MarshalPKIXPublicKey(key)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := idblock.ParsePublicKey(der); err != nil || !again.Equal(key) {
			t.Errorf("written and read: %v", err)
		}
	})
}

// FuzzParseAuthentication checks the same of ID authentication information.
func FuzzParseAuthentication(f *testing.F) {
	_, auth := signed(f)
	f.Add(auth)
	withoutAuthor := patched(auth, 0x680, make([]byte, 0xC84-0x680))
	binary.LittleEndian.PutUint32(withoutAuthor[4:], 0)
	f.Add(withoutAuthor)
	f.Fuzz(func(t *testing.T, data []byte) {
		a, err := idblock.ParseAuthentication(data)
		if err != nil {
			return
		}
		again, err := a.Bytes()
		if err != nil || !bytes.Equal(again, data) {
			t.Errorf("does not encode to the same bytes: %v", err)
		}
		digest := sha512.Sum384(data)
		if a.Verify(idblock.IDBlock{LaunchDigest: digest}) == nil {
			t.Error("vouches for a block that nobody signed")
		}
	})
}
