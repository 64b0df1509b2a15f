package sim

import (
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"sync"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/snp"
)

// KDS is a simulated Key Distribution Service: an http.Handler with the URLs of
// AMD's (57230 rev. 1.00, chapter 4). It issues a certificate for every chip that
// is asked for, since a simulated AMD keeps no list of chips; see Behaviour for
// what can be made to go wrong. It is safe for concurrent use.
type KDS struct {
	amd *AMD
	mux *http.ServeMux

	mu        sync.Mutex
	behaviour Behaviour
	window    window
	requests  []string
}

// NewKDS returns a KDS that serves the certificates of a simulated AMD.
func NewKDS(amd *AMD) *KDS {
	k := &KDS{amd: amd, mux: http.NewServeMux()}
	k.mux.HandleFunc("GET "+vcekPath+"{product}/{hwid}", k.serveVCEK)
	k.mux.HandleFunc("GET "+vcekPath+"{product}/cert_chain", k.serveChain(snp.SignedByVCEK))
	k.mux.HandleFunc("GET "+vlekPath+"{product}/cert_chain", k.serveChain(snp.SignedByVLEK))
	k.mux.HandleFunc("GET "+vcekPath+"{product}/crl", k.serveCRL)
	k.mux.HandleFunc("GET "+vlekPath+"{product}/crl", k.serveCRL)
	return k
}

// ServeHTTP answers a request, or lets it fail as Behaviour says.
func (k *KDS) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b, failure := k.admit(r)
	if b.Before != nil {
		b.Before(r)
	}
	if failure != nil {
		failure.serve(w)
		return
	}
	k.mux.ServeHTTP(w, r)
}

// Requests returns the URLs of the requests so far, those that were refused
// included.
func (k *KDS) Requests() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.requests)
}

// Set changes the behaviour from the next request on.
func (k *KDS) Set(change func(*Behaviour)) {
	k.mu.Lock()
	defer k.mu.Unlock()
	change(&k.behaviour)
}

func (k *KDS) current() Behaviour {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.behaviour
}

// answer sends a body, changed by Behaviour.Tamper.
func (k *KDS) answer(w http.ResponseWriter, r *http.Request, contentType string, body []byte) {
	if tamper := k.current().Tamper; tamper != nil {
		body = tamper(r.URL.Path, body)
	}
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.Write(body) //nolint:errcheck // the client has gone, nobody is left to tell
}

func (k *KDS) serveVCEK(w http.ResponseWriter, r *http.Request) {
	line, ok := k.product(w, r)
	if !ok {
		return
	}
	chip, err := parseVCEKRequest(line.Product, r.PathValue("hwid"), r.URL.RawQuery)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if unknown := k.current().Unknown; chip.ID == [snp.ChipIDSize]byte{} || unknown != nil && unknown(chip) {
		http.Error(w, "unknown chip", http.StatusNotFound)
		return
	}
	vek, err := k.amd.VCEK(chip)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	k.answer(w, r, "application/pkix-cert", vek.Certificate.Raw)
}

// serveChain sends ASK or ASVK, then ARK.
func (k *KDS) serveChain(key snp.SigningKey) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		line, ok := k.product(w, r)
		if !ok {
			return
		}
		k.answer(w, r, "application/x-pem-file", line.ChainPEM(key))
	}
}

// product finds the product line of the URL or answers 404.
func (k *KDS) product(w http.ResponseWriter, r *http.Request) (*Line, bool) {
	line := k.amd.Line(snp.Product(r.PathValue("product")))
	if line == nil {
		http.Error(w, "unknown product", http.StatusNotFound)
	}
	return line, line != nil
}

// ChainPEM returns the certificates above a VCEK or VLEK as KDS sends them: ASK
// or ASVK, then ARK.
func (l *Line) ChainPEM(key snp.SigningKey) []byte {
	issuer := l.ASK
	if key == snp.SignedByVLEK {
		issuer = l.ASVK
	}
	return slices.Concat(issuer.PEM(), l.ARK.PEM())
}

// PEM returns the authority's certificate.
func (a *Authority) PEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.Certificate.Raw})
}

// parseVCEKRequest reads the hardware ID and the security patch levels of a URL.
// Levels that are left out are zero (57230 rev. 1.00, section 4.1).
func parseVCEKRequest(p snp.Product, hwid, rawQuery string) (Chip, error) {
	chip := Chip{Product: p}
	id, err := hex.DecodeString(hwid)
	if err != nil || len(id) != p.HardwareIDSize() {
		return chip, fmt.Errorf("the hardware ID of a %s has %d bytes in hexadecimal", p, p.HardwareIDSize())
	}
	copy(chip.ID[:], id)
	query, err := url.ParseQuery(rawQuery)
	if err != nil {
		return chip, err
	}
	levels := map[string]*uint8{
		"blSPL": &chip.TCB.BootLoader, "teeSPL": &chip.TCB.TEE, "snpSPL": &chip.TCB.SNP, "ucodeSPL": &chip.TCB.Microcode,
	}
	if p == snp.Turin {
		levels["fmcSPL"] = &chip.TCB.FMC
	}
	for name, values := range query {
		level := levels[name]
		if level == nil || len(values) != 1 {
			return chip, fmt.Errorf("parameter %q is not known or repeated", name)
		}
		n, err := strconv.ParseUint(values[0], 10, 8)
		if err != nil {
			return chip, fmt.Errorf("parameter %q is not a number from 0 to 255", name)
		}
		*level = uint8(n)
	}
	return chip, nil
}
