package kds_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/kds"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/sim"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/sim/simtest"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/snp"
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
		if m.header.Typeflag == tar.TypeReg {
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

func TestHostileArchives(t *testing.T) {
	w := filled(t)
	good := export(t, w.client())
	impostor := simtest.Impostor(t)
	forgedCRL, err := impostor.Line(snp.Milan).CRL(sim.CRLBehaviour{}, w.time.Now())
	if err != nil {
		t.Fatal(err)
	}
	futureCRL, err := w.amd.Line(snp.Milan).CRL(sim.CRLBehaviour{ThisUpdate: w.time.Now().AddDate(0, 0, 1)}, w.time.Now())
	if err != nil {
		t.Fatal(err)
	}
	set := func(field string, value any) func(*testing.T, []member) []member {
		return func(t *testing.T, m []member) []member {
			return edit(t, m, func(e []map[string]any) []map[string]any { e[mVCEK-1][field] = value; return e })
		}
	}
	for name, tc := range map[string]struct {
		change func(*testing.T, []member) []member
		want   error
	}{
		"path upwards": {func(t *testing.T, m []member) []member {
			m[mVCEK].header.Name = "../" + m[mVCEK].header.Name
			return edit(t, m, func(e []map[string]any) []map[string]any { e[mVCEK-1]["name"] = m[mVCEK].header.Name; return e })
		}, kds.ErrArchive},
		"path upwards, in the tar alone": {func(_ *testing.T, m []member) []member {
			m[mVCEK].header.Name = "../" + m[mVCEK].header.Name
			return m
		}, kds.ErrArchive},
		"absolute path": {func(_ *testing.T, m []member) []member {
			m[mVCEK].header.Name = "/tmp/" + m[mVCEK].header.Name
			return m
		}, kds.ErrArchive},
		"symlink": {func(_ *testing.T, m []member) []member {
			m[mVCEK].header.Typeflag, m[mVCEK].header.Linkname, m[mVCEK].header.Size, m[mVCEK].data = tar.TypeSymlink, "/etc/passwd", 0, nil
			return m
		}, kds.ErrArchive},
		"hard link": {func(_ *testing.T, m []member) []member {
			m[mVCEK].header.Typeflag, m[mVCEK].header.Linkname, m[mVCEK].header.Size, m[mVCEK].data = tar.TypeLink, m[mChain].header.Name, 0, nil
			return m
		}, kds.ErrArchive},
		"directory": {func(_ *testing.T, m []member) []member {
			m[mVCEK].header.Typeflag, m[mVCEK].header.Size, m[mVCEK].data = tar.TypeDir, 0, nil
			return m
		}, kds.ErrArchive},
		"FIFO": {func(_ *testing.T, m []member) []member {
			m[mVCEK].header.Typeflag, m[mVCEK].header.Size, m[mVCEK].data = tar.TypeFifo, 0, nil
			return m
		}, kds.ErrArchive},
		"extended attribute": {func(_ *testing.T, m []member) []member {
			m[mVCEK].header.PAXRecords = map[string]string{"SCHILY.xattr.user.x": "y"}
			return m
		}, kds.ErrArchive},
		"changed entry": {func(_ *testing.T, m []member) []member {
			m[mVCEK].data[100] ^= 1
			return m
		}, kds.ErrArchive},
		"longer entry":  {func(_ *testing.T, m []member) []member { m[mVCEK].data = append(m[mVCEK].data, 0); return m }, kds.ErrArchive},
		"missing entry": {func(_ *testing.T, m []member) []member { return m[:len(m)-1] }, kds.ErrArchive},
		"further entry": {func(_ *testing.T, m []member) []member {
			return append(m, member{tar.Header{Typeflag: tar.TypeReg, Name: "x", Mode: 0o644}, []byte("x")})
		}, kds.ErrArchive},
		"other order":    {func(_ *testing.T, m []member) []member { m[1], m[2] = m[2], m[1]; return m }, kds.ErrArchive},
		"no manifest":    {func(_ *testing.T, m []member) []member { return m[1:] }, kds.ErrArchive},
		"manifest later": {func(_ *testing.T, m []member) []member { m[0], m[1] = m[1], m[0]; return m }, kds.ErrArchive},
		"entry twice": {func(t *testing.T, m []member) []member {
			m = edit(t, m, func(e []map[string]any) []map[string]any { return append(e, e[0]) })
			return append(m, m[1])
		}, kds.ErrArchive},
		"later format":     {func(_ *testing.T, m []member) []member { m[0].data = []byte(`{"format":2,"entries":[]}`); return m[:1] }, kds.ErrArchive},
		"unknown field":    {func(_ *testing.T, m []member) []member { m[0].data = []byte(`{"format":1,"x":1}`); return m[:1] }, kds.ErrArchive},
		"no JSON":          {func(_ *testing.T, m []member) []member { m[0].data = []byte(`x`); return m[:1] }, kds.ErrArchive},
		"second JSON":      {func(_ *testing.T, m []member) []member { m[0].data = append(m[0].data, "{}"...); return m }, kds.ErrArchive},
		"foreign name":     {set("name", "x.der"), kds.ErrArchive},
		"empty entry":      {set("size", 0), kds.ErrArchive},
		"negative size":    {set("size", -1), kds.ErrArchive},
		"large size":       {set("size", 1<<20+1), kds.ErrArchive},
		"no digest":        {set("sha256", ""), kds.ErrArchive},
		"upper case":       {set("sha256", strings.Repeat("AB", 32)), kds.ErrArchive},
		"too many entries": {func(t *testing.T, m []member) []member { return manyEntries(t, m, 100_001) }, kds.ErrArchive},

		"chain of the impostor": {func(t *testing.T, m []member) []member {
			return swap(t, m, mChain, impostor.Line(snp.Milan).ChainPEM(snp.SignedByVCEK))
		}, kds.ErrAnswer},
		"whole cache of the impostor": {func(t *testing.T, m []member) []member {
			m = swap(t, m, mChain, impostor.Line(snp.Milan).ChainPEM(snp.SignedByVCEK))
			m = swap(t, m, mCRL, forgedCRL)
			m = swap(t, m, mVCEK, issued(t, impostor, vcekOf(m[mVCEK])))
			return swap(t, m, mVCEK+1, issued(t, impostor, vcekOf(m[mVCEK+1])))
		}, kds.ErrAnswer},
		"VCEK of the impostor": {func(t *testing.T, m []member) []member {
			return swap(t, m, mVCEK, issued(t, impostor, vcekOf(m[mVCEK])))
		}, kds.ErrAnswer},
		"VCEK of another chip": {func(t *testing.T, m []member) []member {
			return swap(t, m, mVCEK, issued(t, w.amd, milan("c")))
		}, kds.ErrAnswer},
		"VCEK without a chain": {func(t *testing.T, m []member) []member {
			m = edit(t, m, func(e []map[string]any) []map[string]any { return e[1:] })
			return append(m[:1], m[2:]...)
		}, kds.ErrAnswer},
		"CRL of the impostor": {func(t *testing.T, m []member) []member { return swap(t, m, mCRL, forgedCRL) }, kds.ErrCRLSignature},
		"CRL of the future":   {func(t *testing.T, m []member) []member { return swap(t, m, mCRL, futureCRL) }, kds.ErrCRLStale},
		"CRL is junk":         {func(t *testing.T, m []member) []member { return swap(t, m, mCRL, []byte("x")) }, kds.ErrAnswer},
	} {
		t.Run(name, func(t *testing.T) {
			refuseImport(t, pack(t, tc.change(t, unpack(t, good))), tc.want)
		})
	}
}

// vcekOf returns the chip that a member of the filled world is of.
func vcekOf(m member) sim.Chip {
	for _, name := range []string{"a", "b"} {
		if chip := milan(name); strings.Contains(m.header.Name, hex.EncodeToString(chip.ID[:])) {
			return chip
		}
	}
	panic("no chip of this world: " + m.header.Name)
}

func manyEntries(t *testing.T, m []member, n int) []member {
	t.Helper()
	return edit(t, m[:1], func([]map[string]any) []map[string]any {
		var e []map[string]any
		for i := range n {
			e = append(e, map[string]any{
				"name": fmt.Sprintf("vcek-Turin-%016x-0000000000000000.der", i+1), "size": 1,
				"sha256": strings.Repeat("ab", 32), "fetched_at": "2026-03-01T12:00:00Z",
			})
		}
		return e
	})
}

// refuseImport wants an archive to be refused and the cache to stay empty.
func refuseImport(t *testing.T, archive []byte, want error) {
	t.Helper()
	w := newWorld(t)
	keys, err := w.client().Import(t.Context(), bytes.NewReader(archive))
	if !errors.Is(err, want) || len(keys) != 0 {
		t.Errorf("got %v, %v, want %v", keys, err, want)
	}
	if listed, err := w.cache.List(t.Context()); err != nil || len(listed) != 0 {
		t.Errorf("written before all was checked: %v, %v", listed, err)
	}
	w.wantRequests(0, "")
}

func TestArchivesThatAreNone(t *testing.T) {
	good := export(t, filled(t).client())
	var bomb bytes.Buffer
	zw := gzip.NewWriter(&bomb)
	tw := tar.NewWriter(zw)
	// 8 GiB of zeros behind an innocent name.
	if err := tw.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "manifest.json", Mode: 0o644, Size: 8 << 30}); err != nil {
		t.Fatal(err)
	}
	for range 64 {
		if _, err := tw.Write(make([]byte, 1<<20)); err != nil {
			t.Fatal(err)
		}
	}
	if err := zw.Close(); err != nil {
		t.Fatal(err)
	}
	flipped := bytes.Clone(good)
	flipped[len(flipped)-6] ^= 1 // in the checksum
	for name, archive := range map[string][]byte{
		"nothing":          nil,
		"no gzip":          []byte("PK\x03\x04"),
		"cut off":          good[:len(good)/2],
		"without checksum": good[:len(good)-8],
		"wrong checksum":   flipped,
		"bytes behind":     append(bytes.Clone(good), 0),
		"second archive":   append(bytes.Clone(good), good...),
		"bomb":             bomb.Bytes(),
		"data in padding":  withPadding(t, good, "hidden"),
		"endless padding":  withPadding(t, good, strings.Repeat("\x00", 1<<20)),
	} {
		t.Run(name, func(t *testing.T) { refuseImport(t, archive, kds.ErrArchive) })
	}
}

// Endless headers that are none of any file.
func TestArchiveOfHeaders(t *testing.T) {
	members := unpack(t, export(t, filled(t).client()))
	raw := func(m member) []byte {
		var out bytes.Buffer
		if err := tar.NewWriter(&out).WriteHeader(&m.header); err != nil {
			t.Fatal(err)
		}
		return out.Bytes()
	}
	empty := member{header: tar.Header{Typeflag: tar.TypeReg, Name: "x", Mode: 0o644}}
	long := empty
	long.header.PAXRecords = map[string]string{"comment": strings.Repeat("x", 900<<10)}
	// Without the header of the file itself, which is the last block.
	record := raw(long)[:len(raw(long))-len(raw(empty))]
	var out bytes.Buffer
	zw := gzip.NewWriter(&out)
	manifest := members[0]
	for _, data := range [][]byte{
		raw(manifest), manifest.data, make([]byte, 511-(len(manifest.data)+511)%512), bytes.Repeat(record, 4), raw(members[1]), members[1].data,
	} {
		if _, err := zw.Write(data); err != nil {
			t.Fatal(err)
		}
	}
	if err := zw.Close(); err != nil {
		t.Fatal(err)
	}
	_, err := newWorld(t).client().Import(t.Context(), &out)
	if !errors.Is(err, kds.ErrArchive) || !strings.Contains(err.Error(), "more than the manifest says") {
		t.Errorf("got %v", err)
	}
}

func TestArchiveTooLarge(t *testing.T) {
	members := edit(t, unpack(t, export(t, newWorld(t).client())), func([]map[string]any) []map[string]any {
		var e []map[string]any
		for i := range 513 {
			e = append(e, map[string]any{
				"name": fmt.Sprintf("vcek-Turin-%016x-0000000000000000.der", i+1), "size": 1 << 20, "sha256": strings.Repeat("ab", 32),
			})
		}
		return e
	})
	_, err := newWorld(t).client().Import(t.Context(), bytes.NewReader(pack(t, members)))
	if !errors.Is(err, kds.ErrArchive) || !strings.Contains(err.Error(), "want at most 536870912") {
		t.Errorf("got %v", err)
	}
}

// withPadding has bytes after the end of the tar, within the gzip.
func withPadding(t *testing.T, archive []byte, padding string) []byte {
	t.Helper()
	zr, err := gzip.NewReader(bytes.NewReader(archive))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	zw := gzip.NewWriter(&out)
	if _, err := io.Copy(zw, zr); err != nil {
		t.Fatal(err)
	}
	if _, err := zw.Write([]byte(padding)); err != nil {
		t.Fatal(err)
	}
	if err := zw.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// An old archive cannot take a revocation back.
func TestImportOfOldCRL(t *testing.T) {
	w := filled(t)
	old := export(t, w.client())
	w.crl(sim.CRLBehaviour{Number: 2, Revoked: []*big.Int{w.amd.Line(snp.Milan).ASK.Certificate.SerialNumber}})
	w.time.pass(25 * time.Hour)
	c := w.client()
	if err := w.check(c); !errors.Is(err, kds.ErrRevoked) {
		t.Fatal(err)
	}
	newer := export(t, c)
	if _, err := c.Import(t.Context(), bytes.NewReader(old)); !errors.Is(err, kds.ErrCRLRollback) {
		t.Errorf("got %v, want %v", err, kds.ErrCRLRollback)
	}
	if err := w.check(w.client(offline)); !errors.Is(err, kds.ErrRevoked) {
		t.Errorf("after the import: got %v, want %v", err, kds.ErrRevoked)
	}
	// The other way round is what archives are for, also for a client that has the
	// old list in memory.
	site := newWorld(t)
	site.time.pass(25 * time.Hour)
	at := site.client(offline)
	if _, err := at.Import(t.Context(), bytes.NewReader(old)); err != nil {
		t.Fatal(err)
	}
	if err := site.check(at); err != nil {
		t.Fatal(err)
	}
	if _, err := at.Import(t.Context(), bytes.NewReader(newer)); err != nil {
		t.Fatal(err)
	}
	if err := site.check(at); !errors.Is(err, kds.ErrRevoked) {
		t.Errorf("got %v, want %v", err, kds.ErrRevoked)
	}
}

// A fetch date from the future would put off looking for a newer list.
func TestImportedDatesAreNotBelieved(t *testing.T) {
	w, site := filled(t), newWorld(t)
	members := edit(t, unpack(t, export(t, w.client())), func(e []map[string]any) []map[string]any {
		e[mCRL-1]["fetched_at"] = "2999-01-01T00:00:00Z"
		return e
	})
	c := site.client()
	if _, err := c.Import(t.Context(), bytes.NewReader(pack(t, members))); err != nil {
		t.Fatal(err)
	}
	site.time.pass(25 * time.Hour)
	if err := site.check(c); err != nil {
		t.Fatal(err)
	}
	site.wantRequests(1, "crl")
}

func FuzzImport(f *testing.F) {
	amd := simtest.AMD(f)
	w := &world{amd: amd, time: &fakeTime{now: time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)}}
	seedArchives(f, w)
	f.Fuzz(func(t *testing.T, archive []byte) {
		cache := openFileCache(t, t.TempDir())
		c, err := kds.New(kds.Config{Offline: true, Cache: cache, Roots: rootsOf(amd), Clock: w.time.Now})
		if err != nil {
			t.Fatal(err)
		}
		keys, err := c.Import(t.Context(), bytes.NewReader(archive))
		listed, listErr := cache.List(t.Context())
		if listErr != nil || len(listed) != len(keys) || err != nil && len(keys) != 0 {
			t.Fatalf("imported %d entries, the cache has %d: %v, %v", len(keys), len(listed), err, listErr)
		}
		// Whatever got in passes again.
		err = c.Inspect(t.Context(), func(in kds.Inspected) error { return in.Err })
		if err != nil {
			t.Error(err)
		}
	})
}

// seedArchives adds an archive of the simulated AMD and some that break off.
func seedArchives(f *testing.F, w *world) {
	f.Helper()
	cache, err := kds.OpenFileCache(f.TempDir())
	if err != nil {
		f.Fatal(err)
	}
	vek, err := w.amd.WithClock(w.time.Now).VCEK(milan("a"))
	if err != nil {
		f.Fatal(err)
	}
	chip := milan("a")
	key, err := kds.VCEKKey(chip.Product, chip.ID, chip.TCB)
	if err != nil {
		f.Fatal(err)
	}
	chain, err := kds.ChainKey(snp.Milan, snp.SignedByVCEK)
	if err != nil {
		f.Fatal(err)
	}
	for k, data := range map[kds.Key][]byte{key: vek.Certificate.Raw, chain: w.amd.Line(snp.Milan).ChainPEM(snp.SignedByVCEK)} {
		if err := cache.Put(f.Context(), k, kds.Entry{Data: data, FetchedAt: w.time.Now()}); err != nil {
			f.Fatal(err)
		}
	}
	c, err := kds.New(kds.Config{Offline: true, Cache: cache, Roots: rootsOf(w.amd), Clock: w.time.Now})
	if err != nil {
		f.Fatal(err)
	}
	var out bytes.Buffer
	if exported, _, err := c.Export(f.Context(), &out); err != nil || len(exported) != 2 {
		f.Fatalf("exported %v, %v", exported, err)
	}
	f.Add(out.Bytes())
	f.Add(out.Bytes()[:out.Len()/2])
	f.Add([]byte{})
}
