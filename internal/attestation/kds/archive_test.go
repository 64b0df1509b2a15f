package kds_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"syscall"
	"testing"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/kds"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/sim/simtest"
)

// filled is a world whose cache has two VCEKs, a chain and a CRL of Milan.
func filled(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	c := w.client()
	for _, name := range []string{"a", "b"} {
		if _, err := vcek(t.Context(), c, milan(name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.check(c); err != nil {
		t.Fatal(err)
	}
	return w
}

func export(t *testing.T, c *kds.Client) []byte {
	t.Helper()
	var out bytes.Buffer
	if _, left, err := c.Export(t.Context(), &out); err != nil || len(left) != 0 {
		t.Fatalf("left out %v: %v", left, err)
	}
	return out.Bytes()
}

func TestExportAndImport(t *testing.T) {
	online, airGapped := filled(t), newWorld(t)
	archive := export(t, online.client())
	if again := export(t, online.client()); !bytes.Equal(archive, again) {
		t.Error("the same cache gives two archives")
	}
	c := airGapped.client(offline)
	keys, err := c.Import(t.Context(), bytes.NewReader(archive))
	if err != nil || len(keys) != 4 {
		t.Fatalf("imported %v, %v", keys, err)
	}
	for _, name := range []string{"a", "b"} {
		if _, err := vcek(t.Context(), c, milan(name)); err != nil {
			t.Errorf("chip %s: %v", name, err)
		}
	}
	if err := airGapped.check(c); err != nil {
		t.Error(err)
	}
	if again := export(t, c); !bytes.Equal(archive, again) {
		t.Error("what was imported is exported differently")
	}
	airGapped.wantRequests(0, "")
}

func TestExportOfNothing(t *testing.T) {
	w := newWorld(t)
	if keys, err := newWorld(t).client().Import(t.Context(), bytes.NewReader(export(t, w.client()))); err != nil || len(keys) != 0 {
		t.Errorf("got %v, %v", keys, err)
	}
}

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, syscall.ENOSPC }

func TestExportToFullDisk(t *testing.T) {
	if keys, _, err := filled(t).client().Export(t.Context(), fullDisk{}); !errors.Is(err, syscall.ENOSPC) || keys != nil {
		t.Errorf("exported %v: %v", keys, err)
	}
}

// Entries that are damaged, expired or below another root stay behind.
func TestExportLeavesOutWhatDoesNotPass(t *testing.T) {
	w := filled(t)
	w.put(chipKey(t, milan("damaged")), []byte("x"))
	w.put(chipKey(t, milan("impostor")), issued(t, simtest.Impostor(t), milan("impostor")))
	var out bytes.Buffer
	exported, left, err := w.client().Export(t.Context(), &out)
	if err != nil || len(exported) != 4 || len(left) != 2 {
		t.Fatalf("exported %v, left out %v: %v", exported, left, err)
	}
	if _, err := newWorld(t).client().Import(t.Context(), &out); err != nil {
		t.Error(err)
	}
	w.time.pass(8 * 366 * 24 * time.Hour)
	if exported, left, err = w.client().Export(t.Context(), &out); err != nil || len(exported) != 2 || len(left) != 4 {
		t.Errorf("after eight years: exported %v, left out %v: %v", exported, left, err)
	}
}

// member is one file of an archive, taken apart for tests.
type member struct {
	header tar.Header
	data   []byte
}

// unpack takes an archive apart; the manifest is the first member.
func unpack(t *testing.T, archive []byte) []member {
	t.Helper()
	zr, err := gzip.NewReader(bytes.NewReader(archive))
	if err != nil {
		t.Fatal(err)
	}
	var all []member
	tr := tar.NewReader(zr)
	for {
		header, err := tr.Next()
		if err != nil {
			return all
		}
		var data bytes.Buffer
		if _, err := data.ReadFrom(tr); err != nil {
			t.Fatal(err)
		}
		all = append(all, member{*header, data.Bytes()})
	}
}

func pack(t *testing.T, members []member) []byte {
	t.Helper()
	var out bytes.Buffer
	zw := gzip.NewWriter(&out)
	tw := tar.NewWriter(zw)
	for _, m := range members {
		m.header.Format = tar.FormatUnknown
		if m.header.Typeflag == tar.TypeReg || m.header.Typeflag == tar.TypeCont {
			m.header.Size = int64(len(m.data))
		}
		if err := tw.WriteHeader(&m.header); err != nil {
			t.Fatal(err)
		}
		if _, err := tw.Write(m.data); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(tw.Close(), zw.Close()); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// swap puts other data into a member and makes the manifest fit.
func swap(t *testing.T, members []member, i int, data []byte) []member {
	t.Helper()
	return edit(t, members, func(entries []map[string]any) []map[string]any {
		digest := sha256.Sum256(data)
		entries[i-1]["size"], entries[i-1]["sha256"] = len(data), hex.EncodeToString(digest[:])
		members[i].data = data
		return entries
	})
}

// edit changes the entries of the manifest.
func edit(t *testing.T, members []member, change func([]map[string]any) []map[string]any) []member {
	t.Helper()
	var m struct {
		Format  int              `json:"format"`
		Entries []map[string]any `json:"entries"`
	}
	if err := json.Unmarshal(members[0].data, &m); err != nil {
		t.Fatal(err)
	}
	m.Entries = change(m.Entries)
	var err error
	if members[0].data, err = json.Marshal(m); err != nil {
		t.Fatal(err)
	}
	return members
}

// The members of the archive of a filled world.
const (
	mManifest = iota
	mChain
	mCRL
	mVCEK
)
