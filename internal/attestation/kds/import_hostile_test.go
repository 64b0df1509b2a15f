package kds_test

import (
	"archive/tar"
	"bytes"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/kds"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/snp"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/sim"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/sim/simtest"
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
		"contiguous file": {func(_ *testing.T, m []member) []member { m[mVCEK].header.Typeflag = tar.TypeCont; return m }, kds.ErrArchive},
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
		"later format":  {func(_ *testing.T, m []member) []member { m[0].data = []byte(`{"format":2,"entries":[]}`); return m[:1] }, kds.ErrArchive},
		"unknown field": {func(_ *testing.T, m []member) []member { m[0].data = []byte(`{"format":1,"x":1}`); return m[:1] }, kds.ErrArchive},
		"field twice": {func(_ *testing.T, m []member) []member {
			m[0].data = append([]byte(`{"entries":[],`), m[0].data[1:]...)
			return m
		}, kds.ErrArchive},
		"other case": {func(_ *testing.T, m []member) []member {
			m[0].data = bytes.Replace(m[0].data, []byte(`"size"`), []byte(`"Size"`), 1)
			return m
		}, kds.ErrArchive},
		"no JSON":       {func(_ *testing.T, m []member) []member { m[0].data = []byte(`x`); return m[:1] }, kds.ErrArchive},
		"second JSON":   {func(_ *testing.T, m []member) []member { m[0].data = append(m[0].data, "{}"...); return m }, kds.ErrArchive},
		"foreign name":  {set("name", "x.der"), kds.ErrArchive},
		"empty entry":   {set("size", 0), kds.ErrArchive},
		"negative size": {set("size", -1), kds.ErrArchive},
		"large size":    {set("size", 1<<20+1), kds.ErrArchive},
		"no digest":     {set("sha256", ""), kds.ErrArchive},
		"upper case":    {set("sha256", strings.Repeat("AB", 32)), kds.ErrArchive},

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
