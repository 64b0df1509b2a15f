package kds

import (
	"bytes"
	"compress/gzip"
	"crypto/x509"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/snp"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/sim"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/sim/simtest"
)

// fuzzEntries are genuine entries of a simulated AMD, and a client that takes them.
func fuzzEntries(f *testing.F) (*Client, map[Key][]byte) {
	f.Helper()
	now := time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)
	amd := simtest.AMD(f).At(now)
	cache, err := OpenFileCache(f.TempDir())
	if err != nil {
		f.Fatal(err)
	}
	c, err := New(Config{
		Offline: true, Cache: cache, Clock: func() time.Time { return now },
		Roots: func(p snp.Product) []*x509.Certificate { return []*x509.Certificate{amd.Line(p).ARK.Certificate} },
		Known: func(p snp.Product, _ snp.SigningKey) []*x509.Certificate {
			return []*x509.Certificate{amd.Line(p).ASK.Certificate}
		},
	})
	if err != nil {
		f.Fatal(err)
	}
	chip := sim.NewChip(snp.Milan, "a", snp.TCB{SNP: 8})
	key, err := VCEKKey(chip.Product, chip.ID, chip.TCB)
	if err != nil {
		f.Fatal(err)
	}
	vek, err := amd.VCEK(chip)
	if err != nil {
		f.Fatal(err)
	}
	crl, err := amd.Line(snp.Milan).CRL(sim.CRLBehaviour{}, now)
	if err != nil {
		f.Fatal(err)
	}
	return c, map[Key][]byte{
		key:                                   vek.Certificate.Raw,
		{Kind: KindChain, Product: snp.Milan}: amd.Line(snp.Milan).ChainPEM(snp.SignedByVCEK),
		{Kind: KindCRL, Product: snp.Milan}:   crl,
		{Kind: KindChain, Product: snp.Genoa}: []byte("x"),
		{Kind: KindCRL, Product: snp.Turin}:   nil,
	}
}

// FuzzInspect gets what KDS, a cache or an archive may hold under a name.
func FuzzInspect(f *testing.F) {
	c, entries := fuzzEntries(f)
	asks := []*x509.Certificate{c.known[Key{Kind: KindChain, Product: snp.Milan}].ASK}
	genuine := make(map[Key][]byte)
	for key, data := range entries {
		f.Add(key.String(), data)
		if contents, err := c.inspect(key, data, asks); err == nil {
			genuine[key] = signedPart(f, key, contents)
		}
	}
	if len(genuine) != 3 {
		f.Fatalf("%d genuine entries, want 3", len(genuine))
	}
	f.Fuzz(func(t *testing.T, name string, data []byte) {
		key, err := ParseKey(name)
		if err != nil {
			return
		}
		contents, err := c.inspect(key, data, asks)
		if err != nil {
			if !errors.Is(err, ErrAnswer) && !errors.Is(err, ErrCRLSignature) && !errors.Is(err, ErrCRLStale) {
				t.Errorf("%s: untyped error %v", name, err)
			}
			return
		}
		// What passes is signed, so it says nothing but what the genuine entries say.
		if got, want := signedPart(t, key, contents), genuine[key]; !bytes.Equal(got, want) {
			t.Errorf("%s: accepted %x", name, data)
		}
	})
}

// signedPart returns what of an entry has been signed. The signature itself is
// another one each time.
func signedPart(t testing.TB, key Key, contents Contents) []byte {
	t.Helper()
	switch key.Kind {
	case KindVCEK:
		return contents.VCEK.RawTBSCertificate
	case KindCRL:
		return contents.CRL.RawTBSRevocationList
	}
	return contents.Chain.PEM()
}

// FuzzReadArchive gets an archive before its compression.
func FuzzReadArchive(f *testing.F) {
	_, entries := fuzzEntries(f)
	m := manifest{Format: manifestFormat}
	var data [][]byte
	for key, d := range entries {
		m.Entries = append(m.Entries, newManifestEntry(key, Entry{Data: d}))
		data = append(data, d)
	}
	var archive bytes.Buffer
	if err := writeArchive(&archive, m, data); err != nil {
		f.Fatal(err)
	}
	zr, err := gzip.NewReader(&archive)
	if err != nil {
		f.Fatal(err)
	}
	unpacked, err := io.ReadAll(zr)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(unpacked)
	f.Add(unpacked[:len(unpacked)/2])
	f.Fuzz(func(t *testing.T, unpacked []byte) {
		b := &budget{r: bytes.NewReader(unpacked)}
		m, data, err := readMembers(b)
		if err != nil {
			return
		}
		if len(data) != len(m.Entries) {
			t.Fatalf("%d entries, the manifest has %d", len(data), len(m.Entries))
		}
		for i, e := range m.Entries {
			if e.key.String() != e.Name || len(data[i]) == 0 || len(data[i]) > e.key.MaxSize() {
				t.Errorf("accepted %q of %d bytes", e.Name, len(data[i]))
			}
		}
	})
}
