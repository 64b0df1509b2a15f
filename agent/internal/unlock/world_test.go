package unlock_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/report"
	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/retry"
	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/unlock"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/bootconf"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/seal"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// authority is a CA with a certificate for the service.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(tb testing.TB, from, to time.Time) authority {
	tb.Helper()
	return authority{cert: &x509.Certificate{Subject: pkix.Name{CommonName: "CA"}}}.below(tb, "CA", from, to)
}

// below is an authority that a vouches for, or a root when a has no key.
func (a authority) below(tb testing.TB, name string, from, to time.Time) authority {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	if a.key == nil {
		a.key = key
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: from, NotAfter: to,
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}, a.cert, key.Public(), a.key)
	if err != nil {
		tb.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		tb.Fatal(err)
	}
	return authority{cert, key}
}

func (a authority) pem() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw}))
}

// leaf is a certificate of the service.
func (a authority) leaf(tb testing.TB, template x509.Certificate) tls.Certificate {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	template.SerialNumber = big.NewInt(2)
	der, err := x509.CreateCertificate(rand.Reader, &template, a.cert, key.Public(), a.key)
	if err != nil {
		tb.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// goodLeaf is for 127.0.0.1, and valid.
func goodLeaf() x509.Certificate {
	return x509.Certificate{
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
}

// world is a service that grants everything, and an image of its.
type world struct {
	ca         authority
	config     *bootconf.Config
	identity   ed25519.PrivateKey
	vmk        []byte
	sealed     []byte
	over       <-chan struct{} // closed when the test ends
	challenges int
	requests   []wire.UnlockRequest
	binding    wire.UnlockBinding // of the last request
}

func newWorld(tb testing.TB) *world {
	tb.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	w := &world{ca: newAuthority(tb, time.Now().Add(-time.Hour), time.Now().Add(time.Hour)), identity: private, over: tb.Context().Done()}
	w.vmk, w.sealed = make([]byte, wire.VMKSize), make([]byte, wire.SealedVMKSize)
	rand.Read(w.vmk)
	rand.Read(w.sealed)
	image := wire.NewUUID()
	commitment := wire.VMKCommitment(image, w.vmk)
	w.config = &bootconf.Config{ImageID: image, CA: w.ca.pem(), IdentityKey: public, VMKCommitment: hex.EncodeToString(commitment[:])}
	return w
}

func answer(rw http.ResponseWriter, v any) {
	rw.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(rw).Encode(v); err != nil {
		panic(err)
	}
}

// grant is what a good service answers.
func (w *world) grant(r *http.Request) wire.Grant {
	var request wire.UnlockRequest
	if err := json.NewDecoder(r.Body).Decode(&request); err != nil {
		panic(err)
	}
	w.requests = append(w.requests, request)
	w.binding = wire.UnlockBinding{
		Nonce: request.Nonce, PublicKey: request.PublicKey, BootKey: request.BootKey, Image: w.config.ImageID,
		SealedVMK: sha256.Sum256(request.SealedVMK), Disk: request.Disk.Hash(),
	}
	return w.sign(w.binding, w.vmk)
}

func (w *world) sign(b wire.UnlockBinding, vmk []byte) wire.Grant {
	data := b.ReportData()
	key, err := seal.ParsePublicKey(b.PublicKey)
	if err != nil {
		panic(err)
	}
	sealed, err := key.Seal(wire.GrantInfo(data), vmk)
	if err != nil {
		panic(err)
	}
	g := wire.Grant{Time: time.Now().UnixMilli(), State: wire.StateNone, Enc: sealed[:wire.EncSize], Ciphertext: sealed[wire.EncSize:]}
	g.Signature = ed25519.Sign(w.identity, wire.GrantTranscript(data, &g))
	return g
}

// handler answers as a good service does, except where a path has another
// handler.
func (w *world) handler(other map[string]http.HandlerFunc) http.Handler {
	mux := http.NewServeMux()
	good := map[string]http.HandlerFunc{
		wire.PathChallenge: func(rw http.ResponseWriter, _ *http.Request) {
			w.challenges++
			nonce := make([]byte, wire.NonceSize)
			rand.Read(nonce)
			answer(rw, wire.Challenge{Nonce: nonce, ExpiresIn: 60})
		},
		wire.PathUnlock: func(rw http.ResponseWriter, r *http.Request) { answer(rw, w.grant(r)) },
	}
	for path, h := range good {
		if o := other[path]; o != nil {
			h = o
		}
		mux.HandleFunc("POST "+path, h)
	}
	return mux
}

// serve starts a service and returns its URL.
func (w *world) serve(tb testing.TB, h http.Handler, cert tls.Certificate) string {
	tb.Helper()
	server := httptest.NewUnstartedServer(h)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{cert}}
	server.EnableHTTP2 = true
	server.StartTLS()
	tb.Cleanup(server.Close)
	return server.URL
}

// attest is an AMD-SP that puts nothing but the data into a report.
func attest(data [report.DataSize]byte) (*report.Evidence, error) {
	e := &report.Evidence{Report: make([]byte, report.Size), Certificates: []byte("table"), Provider: "fake"}
	copy(e.Report[0x50:], data[:])
	return e, nil
}

// launch is one without an instance.
func launch(tb testing.TB) *report.Launch {
	tb.Helper()
	l, err := report.Identify(attest)
	if err != nil {
		tb.Fatal(err)
	}
	return l
}

// loop waits for nothing.
func loop(tb testing.TB) unlock.Loop {
	return unlock.Loop{
		Backoff: retry.Backoff{First: time.Millisecond, Max: time.Millisecond},
		Paths:   func() []unlock.Path { return []unlock.Path{{Name: "eth0", Dial: (&net.Dialer{}).DialContext}} },
		Log:     tb.Logf,
	}
}

func sum(b []byte) [32]byte { return sha256.Sum256(b) }
