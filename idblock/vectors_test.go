package idblock_test

import (
	"bytes"
	"crypto/ecdsa"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"path"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/idblock"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/testing/vectors"
)

// vectorCase is one ID block of testdata/measure/cases.json.
type vectorCase struct {
	ID              string `json:"id"`
	LaunchDigest    string `json:"launch_digest"`
	IDKey           string `json:"id_key"`
	AuthorKey       string `json:"author_key"`
	IDBlock         []byte `json:"expected_id_block_b64"`
	IDAuth          []byte `json:"example_id_auth_b64"`
	IDKeyDigest     string `json:"expected_id_key_digest"`
	AuthorKeyDigest string `json:"expected_author_key_digest"`
	ExpectError     bool   `json:"expect_error"`
}

func TestIDBlockVectors(t *testing.T) {
	var file struct {
		Cases []vectorCase `json:"id_blocks"`
	}
	vectors.ReadJSON(t, "measure/cases.json", &file)
	if len(file.Cases) != 8 {
		t.Fatalf("%d cases, want 8", len(file.Cases))
	}
	keys := readKeys(t)
	for _, c := range file.Cases {
		t.Run(c.ID, func(t *testing.T) {
			idKey, err := idblock.ParsePrivateKey(keys[path.Base(c.IDKey)])
			if c.ExpectError {
				if !errors.Is(err, idblock.ErrKey) {
					t.Errorf("got %v, want %v", err, idblock.ErrKey)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			authorKey, err := idblock.ParsePrivateKey(keys[path.Base(c.AuthorKey)])
			if err != nil {
				t.Fatal(err)
			}
			block := idblock.IDBlock{Version: idblock.Version, Policy: idblock.DefaultPolicy}
			copy(block.LaunchDigest[:], unhex(t, c.LaunchDigest))
			if !bytes.Equal(block.Bytes(), c.IDBlock) {
				t.Errorf("ID block\n got %x\nwant %x", block.Bytes(), c.IDBlock)
			}
			auth, err := idblock.Sign(block, idKey, authorKey)
			if err != nil {
				t.Fatal(err)
			}
			checkDigest(t, "ID key", &idKey.PublicKey, c.IDKeyDigest)
			checkDigest(t, "author key", &authorKey.PublicKey, c.AuthorKeyDigest)
			checkAuthentication(t, block, auth, c.IDAuth)
		})
	}
}

// checkAuthentication compares with the oracle's structure in all but the two
// signatures, which must verify, ours and theirs.
func checkAuthentication(t *testing.T, block idblock.IDBlock, auth *idblock.Authentication, theirs []byte) {
	t.Helper()
	ours, err := auth.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{"ours": ours, "theirs": theirs} {
		parsed, err := idblock.ParseAuthentication(data)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if err := parsed.Verify(block); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	blank := func(b []byte) []byte {
		b = bytes.Clone(b)
		clear(b[0x40:0x240])
		clear(b[0x680:0x880])
		return b
	}
	if !bytes.Equal(blank(ours), blank(theirs)) {
		t.Error("authentication information differs apart from its signatures")
	}
}

func checkDigest(t *testing.T, name string, key *ecdsa.PublicKey, want string) {
	t.Helper()
	got, err := idblock.KeyDigest(key)
	if err != nil || hex.EncodeToString(got[:]) != want {
		t.Errorf("%s digest: got %x, %v, want %s", name, got, err, want)
	}
}

// TestPeerIDBlock parses and verifies what virtee/sev's own test signed.
func TestPeerIDBlock(t *testing.T) {
	var file struct {
		Suites []struct {
			Name  string `json:"name"`
			Cases []struct {
				IDBlock         []byte `json:"expected_id_block_b64"`
				IDAuth          []byte `json:"expected_id_auth_b64"`
				IDKeyDigest     string `json:"expected_id_key_digest"`
				AuthorKeyDigest string `json:"expected_author_key_digest"`
			} `json:"cases"`
		} `json:"suites"`
	}
	vectors.ReadJSON(t, "measure/peer_tests.json", &file)
	for _, suite := range file.Suites {
		if suite.Name != "virtee/sev tests/id-block.rs" {
			continue
		}
		c := suite.Cases[0]
		block, err := idblock.Parse(c.IDBlock)
		if err != nil {
			t.Fatal(err)
		}
		auth, err := idblock.ParseAuthentication(c.IDAuth)
		if err != nil {
			t.Fatal(err)
		}
		if err := auth.Verify(block); err != nil {
			t.Error(err)
		}
		checkDigest(t, "ID key", auth.IDKey, c.IDKeyDigest)
		checkDigest(t, "author key", auth.AuthorKey, c.AuthorKeyDigest)
		return
	}
	t.Error("suite is missing")
}

// readKeys returns the vectors' keys as PEM files, by name.
func readKeys(tb testing.TB) map[string][]byte {
	tb.Helper()
	var file struct {
		Keys map[string][]struct {
			Label string `json:"pem_label"`
			DER   string `json:"der_hex"`
		} `json:"keys"`
	}
	vectors.ReadJSON(tb, "measure/inputs/keys.json", &file)
	keys := make(map[string][]byte)
	for name, blocks := range file.Keys {
		for _, b := range blocks {
			keys[name] = append(keys[name], pem.EncodeToMemory(&pem.Block{Type: b.Label, Bytes: unhex(tb, b.DER)})...)
		}
	}
	return keys
}

func unhex(tb testing.TB, s string) []byte {
	tb.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}
