package sim_test

import (
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/snp"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/sim"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/sim/simtest"
)

// get asks a simulated KDS over HTTP.
func get(t *testing.T, url string) (status int, header http.Header, body []byte) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err = io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, body
}

func serve(t *testing.T, k *sim.KDS) string {
	t.Helper()
	server := httptest.NewServer(k)
	t.Cleanup(server.Close)
	return server.URL
}

func TestKDSVCEK(t *testing.T) {
	amd := simtest.AMD(t)
	url := serve(t, sim.NewKDS(amd))
	for _, p := range snp.Products() {
		chip := sim.NewChip(p, "a", tcb(p))
		query := "?blSPL=03&teeSPL=01&snpSPL=08&ucodeSPL=115"
		if p == snp.Turin {
			query += "&fmcSPL=02"
		}
		status, header, body := get(t, fmt.Sprintf("%s/vcek/v1/%s/%x%s", url, p, chip.HardwareID(), query))
		if status != http.StatusOK || header.Get("Content-Type") != "application/pkix-cert" {
			t.Fatalf("%s: status %d, %s: %s", p, status, header.Get("Content-Type"), body)
		}
		cert, err := x509.ParseCertificate(body)
		if err != nil {
			t.Fatal(err)
		}
		vek, err := amd.VCEK(chip)
		if err != nil {
			t.Fatal(err)
		}
		if !vek.Key.PublicKey.Equal(cert.PublicKey) {
			t.Errorf("%s: certificate is not of the chip's key at that TCB", p)
		}
	}
}

func TestKDSChainsAndCRLs(t *testing.T) {
	amd := simtest.AMD(t)
	url := serve(t, sim.NewKDS(amd))
	for _, p := range snp.Products() {
		line := amd.Line(p)
		for kind, issuer := range map[string]*sim.Authority{"vcek": line.ASK, "vlek": line.ASVK} {
			status, _, body := get(t, fmt.Sprintf("%s/%s/v1/%s/cert_chain", url, kind, p))
			first, rest := pem.Decode(body)
			second, rest := pem.Decode(rest)
			if status != http.StatusOK || first == nil || second == nil || len(rest) != 0 {
				t.Fatalf("%s %s: status %d: %s", p, kind, status, body)
			}
			if string(first.Bytes) != string(issuer.Certificate.Raw) || string(second.Bytes) != string(line.ARK.Certificate.Raw) {
				t.Errorf("%s %s: not ASK, then ARK", p, kind)
			}
			status, _, body = get(t, fmt.Sprintf("%s/%s/v1/%s/crl", url, kind, p))
			crl, err := x509.ParseRevocationList(body)
			if status != http.StatusOK || err != nil {
				t.Fatalf("%s %s: status %d, %v", p, kind, status, err)
			}
			if err := crl.CheckSignatureFrom(line.ARK.Certificate); err != nil {
				t.Errorf("%s %s: %v", p, kind, err)
			}
		}
	}
}

func TestKDSRefuses(t *testing.T) {
	k := sim.NewKDS(simtest.AMD(t))
	url := serve(t, k)
	gone := sim.NewChip(snp.Milan, "gone", snp.TCB{})
	k.Set(func(b *sim.Behaviour) { b.Unknown = func(c sim.Chip) bool { return c.ID == gone.ID } })
	milan := strings.Repeat("ab", 64)
	for path, want := range map[string]int{
		"/vcek/v1/Milan/" + milan:                                   http.StatusOK, // levels left out are zero
		"/vcek/v1/Rome/" + milan:                                    http.StatusNotFound,
		"/vcek/v1/Rome/crl":                                         http.StatusNotFound,
		"/vlek/v1/Rome/cert_chain":                                  http.StatusNotFound,
		"/vcek/v1/Milan/" + strings.Repeat("00", 64):                http.StatusNotFound,
		"/vcek/v1/Milan/" + hex.EncodeToString(gone.ID[:]):          http.StatusNotFound,
		"/vcek/v1/Milan/" + milan[2:]:                               http.StatusBadRequest,
		"/vcek/v1/Turin/" + milan:                                   http.StatusBadRequest,
		"/vcek/v1/Milan/" + strings.Repeat("zz", 64):                http.StatusBadRequest,
		"/vcek/v1/Milan/" + milan + "?blSPL=256":                    http.StatusBadRequest,
		"/vcek/v1/Milan/" + milan + "?blSPL=1&blSPL=1":              http.StatusBadRequest,
		"/vcek/v1/Milan/" + milan + "?fmcSPL=1":                     http.StatusBadRequest,
		"/vcek/v1/Turin/" + strings.Repeat("ab", 8) + "?x=1":        http.StatusBadRequest,
		"/vcek/v1/Milan/" + milan + "?%zz":                          http.StatusBadRequest,
		"/vcek/v1/Turin/" + strings.Repeat("ab", 8) + "?%66mcSPL=1": http.StatusOK,
		"/": http.StatusNotFound,
	} {
		if status, _, body := get(t, url+path); status != want {
			t.Errorf("%s: status %d, want %d: %s", path, status, want, body)
		}
	}
}

func TestKDSFails(t *testing.T) {
	k := sim.NewKDS(simtest.AMD(t))
	url := serve(t, k) + "/vcek/v1/Milan/cert_chain"
	k.Set(func(b *sim.Behaviour) {
		b.Fail, b.FailStatus, b.RetryAfter = 2, http.StatusServiceUnavailable, 1500*time.Millisecond
	})
	for i, want := range []int{503, 503, 200} {
		status, header, _ := get(t, url)
		if status != want {
			t.Errorf("request %d: status %d, want %d", i, status, want)
		}
		if got := header.Get("Retry-After"); want == 503 && got != "2" || want == 200 && got != "" {
			t.Errorf("request %d: Retry-After %q", i, got)
		}
	}
	if got := k.Requests(); len(got) != 3 || got[0] != "/vcek/v1/Milan/cert_chain" {
		t.Errorf("got requests %q", got)
	}
}

func TestKDSLimitsRate(t *testing.T) {
	k := sim.NewKDS(simtest.AMD(t).At(time.Now()))
	url := serve(t, k) + "/vcek/v1/Milan/cert_chain"
	k.Set(func(b *sim.Behaviour) { b.Limit, b.Window = 2, 10*time.Second })
	for i, want := range []int{200, 200, 429, 429} {
		status, header, _ := get(t, url)
		if status != want || want == 429 && header.Get("Retry-After") != "10" {
			t.Errorf("request %d: status %d, want %d, Retry-After %q", i, status, want, header.Get("Retry-After"))
		}
	}
}

func TestKDSTampersAndWaits(t *testing.T) {
	k := sim.NewKDS(simtest.AMD(t))
	url := serve(t, k) + "/vcek/v1/Milan/cert_chain"
	var seen string
	k.Set(func(b *sim.Behaviour) {
		b.Tamper = func(path string, _ []byte) []byte { return []byte("no " + path) }
		b.Before = func(r *http.Request) { seen = r.URL.Path }
	})
	if _, _, body := get(t, url); string(body) != "no /vcek/v1/Milan/cert_chain" || seen != "/vcek/v1/Milan/cert_chain" {
		t.Errorf("got %q after %q", body, seen)
	}
}

func TestCRLBehaviour(t *testing.T) {
	amd, impostor := simtest.AMD(t), simtest.Impostor(t)
	line := amd.Line(snp.Milan)
	then := time.Date(2024, time.March, 1, 0, 0, 0, 0, time.UTC)
	der, err := line.CRL(sim.CRLBehaviour{
		Number: 7, ThisUpdate: then, NextUpdate: then.Add(time.Hour), Revoked: []*big.Int{big.NewInt(0x10001)},
		Signer: impostor.Line(snp.Milan).ARK,
	}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	crl, err := x509.ParseRevocationList(der)
	if err != nil {
		t.Fatal(err)
	}
	if crl.Number.Int64() != 7 || !crl.ThisUpdate.Equal(then) || !crl.NextUpdate.Equal(then.Add(time.Hour)) {
		t.Errorf("got CRL %s from %s to %s", crl.Number, crl.ThisUpdate, crl.NextUpdate)
	}
	if got := crl.RevokedCertificateEntries; len(got) != 1 || got[0].SerialNumber.Int64() != 0x10001 {
		t.Errorf("got entries %v", got)
	}
	if crl.CheckSignatureFrom(line.ARK.Certificate) == nil || crl.CheckSignatureFrom(impostor.Line(snp.Milan).ARK.Certificate) != nil {
		t.Error("not signed by the impostor")
	}
}
