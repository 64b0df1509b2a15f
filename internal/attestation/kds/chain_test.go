package kds_test

import (
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/kds"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/snp"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/sim"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/sim/simtest"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/testing/vectors"
)

func chainKey(t *testing.T, p snp.Product, signer snp.SigningKey) kds.Key {
	t.Helper()
	key, err := kds.ChainKey(p, signer)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestPoisonedChains(t *testing.T) {
	amd, impostor := simtest.AMD(t), simtest.Impostor(t)
	line := amd.Line(snp.Milan)
	ask, ark := line.ASK.PEM(), line.ARK.PEM()
	expectASK := string(line.ChainPEM(snp.SignedByVCEK))
	for name, body := range map[string][]byte{
		"nothing":           nil,
		"no PEM":            line.ASK.Certificate.Raw,
		"ARK alone":         ark,
		"wrong order":       slices.Concat(ark, ask),
		"three":             slices.Concat(ask, ark, ark),
		"junk behind":       slices.Concat(ask, ark, []byte("junk")),
		"key":               slices.Concat(ask, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: line.ARK.Certificate.Raw})),
		"no certificate":    slices.Concat(ask, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("x")})),
		"impostor":          impostor.Line(snp.Milan).ChainPEM(snp.SignedByVCEK),
		"impostor's ASK":    slices.Concat(impostor.Line(snp.Milan).ASK.PEM(), ark),
		"impostor's ARK":    slices.Concat(ask, impostor.Line(snp.Milan).ARK.PEM()),
		"VLEK chain":        line.ChainPEM(snp.SignedByVLEK),
		"of Genoa":          amd.Line(snp.Genoa).ChainPEM(snp.SignedByVCEK),
		"ASK is no CA":      slices.Concat(leafNamedASK(t, line), ark),
		"ASK by itself":     slices.Concat(selfSignedASK(t), ark),
		"ASK is the ARK":    slices.Concat(ark, ark),
		"too large":         []byte(expectASK + strings.Repeat(" ", 1<<20)),
		"ASK by PKCS #1":    slices.Concat(askByPKCS1(t, line), ark),
		"ASK of lower rank": slices.Concat(askByASK(t, line), ark),
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.kds.Set(func(b *sim.Behaviour) { b.Tamper = func(string, []byte) []byte { return body } })
			c := w.client()
			for range 2 {
				if _, err := c.Chain(t.Context(), snp.Milan, snp.SignedByVCEK); !errors.Is(err, kds.ErrAnswer) {
					t.Errorf("got %v, want %v", err, kds.ErrAnswer)
				}
			}
			w.wantRequests(1, "")
			if _, err := w.cache.Get(t.Context(), chainKey(t, snp.Milan, snp.SignedByVCEK)); !errors.Is(err, kds.ErrNotCached) {
				t.Errorf("the answer is in the cache: %v", err)
			}
		})
	}
}

// leafNamedASK is signed by the ARK and has the ASK's name, but is no CA.
func leafNamedASK(t *testing.T, line *sim.Line) []byte {
	t.Helper()
	tmpl := sim.ASKTemplate(line.Product, line.ARK)
	tmpl.IsCA, tmpl.MaxPathLenZero = false, false
	return reissuedASK(t, tmpl, line.ARK, line)
}

// askByASK has the ARK as its issuer by name, but the ASK has signed it.
func askByASK(t *testing.T, line *sim.Line) []byte {
	t.Helper()
	tmpl := sim.ASKTemplate(line.Product, line.ARK)
	tmpl.RawIssuer = line.ARK.Certificate.RawSubject
	return reissuedASK(t, tmpl, line.ASK, line)
}

// askByPKCS1 is signed by the ARK, but as AMD never does.
func askByPKCS1(t *testing.T, line *sim.Line) []byte {
	t.Helper()
	tmpl := sim.ASKTemplate(line.Product, line.ARK)
	tmpl.SignatureAlgorithm = x509.SHA384WithRSA
	der, err := x509.CreateCertificate(rand.Reader, tmpl, line.ARK.Certificate, line.ASK.Key.Public(), line.ARK.Key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func selfSignedASK(t *testing.T) []byte {
	t.Helper()
	line := simtest.Impostor(t).Line(snp.Milan)
	tmpl := sim.ASKTemplate(snp.Milan, line.ARK)
	return reissuedASK(t, tmpl, line.ASK, line)
}

func reissuedASK(t *testing.T, tmpl *x509.Certificate, by *sim.Authority, line *sim.Line) []byte {
	t.Helper()
	cert, err := by.Issue(tmpl, line.ASK.Key.Public())
	if err != nil {
		t.Fatal(err)
	}
	return (&sim.Authority{Certificate: cert}).PEM()
}

func TestRealChains(t *testing.T) {
	var roots []*x509.Certificate
	read := func(name string) *x509.Certificate {
		block, _ := pem.Decode(vectors.MustRead(t, "reports/chains/"+name+".pem"))
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		return cert
	}
	for _, p := range snp.Products() {
		roots = append(roots, read("ARK-"+string(p)))
	}
	w := newWorld(t)
	c := w.client(offline, func(cfg *kds.Config) {
		cfg.Roots = func(snp.Product) []*x509.Certificate { return roots }
		cfg.Known = func(p snp.Product, signer snp.SigningKey) []*x509.Certificate {
			if signer == snp.SignedByVLEK {
				return []*x509.Certificate{read("SEV-VLEK-Milan")}
			}
			return []*x509.Certificate{read("SEV-" + string(p))}
		}
	})
	for file, chip := range map[string]sim.Chip{
		"vcek-milan-052df5f0e3.der": {}, "vcek-genoa-05788a16ab.der": {}, "vcek-turin-1488981572.der": {},
	} {
		der := vectors.MustRead(t, "reports/certs/"+file)
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		e, err := snp.ParseExtensions(cert)
		if err != nil {
			t.Fatal(err)
		}
		chip.Product, chip.TCB = e.Product, e.TCB
		copy(chip.ID[:], e.HardwareID)
		w.put(chipKey(t, chip), der)
		if got, err := vcek(t.Context(), c, chip); err != nil || !got.Equal(cert) {
			t.Errorf("%s: %v", file, err)
		}
	}
	if _, err := c.Chain(t.Context(), snp.Milan, snp.SignedByVLEK); err != nil {
		t.Error(err)
	}
	if _, err := c.Chain(t.Context(), snp.Genoa, snp.SignedByVLEK); !errors.Is(err, kds.ErrUnavailable) {
		t.Errorf("Milan's ASVK passes for Genoa's: %v", err)
	}
}

// A KDS without such a product line is no KDS of AMD's.
func TestChainNotFound(t *testing.T) {
	w := newWorld(t)
	w.kds.Set(func(b *sim.Behaviour) { b.Fail, b.FailStatus = 1, http.StatusNotFound })
	_, err := w.client().Chain(t.Context(), snp.Milan, snp.SignedByVCEK)
	if !errors.Is(err, kds.ErrAnswer) || errors.Is(err, kds.ErrUnknownChip) {
		t.Errorf("got %v, want %v", err, kds.ErrAnswer)
	}
}

// What is "known" but not signed by a trusted root does not count.
func TestKnownNeedsRoot(t *testing.T) {
	w := newWorld(t)
	c := w.client(known(simtest.Impostor(t)))
	chain, err := c.Chain(t.Context(), snp.Milan, snp.SignedByVCEK)
	if err != nil || !chain.ASK.Equal(w.amd.Line(snp.Milan).ASK.Certificate) {
		t.Errorf("got %v, %v", chain, err)
	}
	w.wantRequests(1, "")
}

// AMD can make a new ASK. The client finds it when the chain is not quite new,
// but does not ask for it with every VCEK that does not fit.
func TestNewASK(t *testing.T) {
	w := newWorld(t)
	line := w.amd.Line(snp.Milan)
	old, err := sim.NewAuthority(sim.ASKTemplate(snp.Milan, line.ARK), line.ARK)
	if err != nil {
		t.Fatal(err)
	}
	key := chainKey(t, snp.Milan, snp.SignedByVCEK)
	w.put(key, slices.Concat(old.PEM(), line.ARK.PEM()))
	c := w.client()
	if _, err := vcek(t.Context(), c, milan("a")); !errors.Is(err, kds.ErrAnswer) {
		t.Errorf("VCEK that the cached ASK did not sign: got %v, want %v", err, kds.ErrAnswer)
	}
	w.wantRequests(0, "cert_chain")
	w.time.pass(time.Hour)
	for _, name := range []string{"a", "b"} {
		if _, err := vcek(t.Context(), c, milan(name)); err != nil {
			t.Error(err)
		}
	}
	w.wantRequests(1, "cert_chain")
	if _, err := vcek(t.Context(), w.client(offline), milan("a")); err != nil {
		t.Errorf("new chain is not cached: %v", err)
	}
}

func TestDamagedChainInCache(t *testing.T) {
	w := newWorld(t)
	key := chainKey(t, snp.Milan, snp.SignedByVCEK)
	w.put(key, simtest.Impostor(t).Line(snp.Milan).ChainPEM(snp.SignedByVCEK))
	chain, err := w.client().Chain(t.Context(), snp.Milan, snp.SignedByVCEK)
	if err != nil || !chain.ASK.Equal(w.amd.Line(snp.Milan).ASK.Certificate) {
		t.Errorf("got %v, %v", chain, err)
	}
	if !strings.Contains(w.log.String(), key.String()) {
		t.Errorf("not reported: %s", w.log)
	}
}
