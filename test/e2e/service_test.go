//go:build e2e

package e2e

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/client/keyfile"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/seal"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// impatient is the deadline of images whose guests have to give up.
const impatient = "1m0s"

// disabled returns an image that is registered, but disabled.
func disabled(t testing.TB) *conversion { return smallNamed(t, "debian", "disabled") }

func registeredDisabled(t testing.TB) string {
	return registered(t, "disabled", disabled(t), "--disabled")
}

// TestDisabledImage boots an image that its operator has disabled.
func TestDisabledImage(t *testing.T) {
	h := newHost(t, disabled(t), registeredDisabled(t))
	poweredOff(t, h.boot(t), `unlock: .*denied by the service \(request ([0-9a-f-]+)\)`)
	denied(t, h, "image_disabled")
}

// keyFiles has the service's public keys written to files.
func keyFiles(t testing.TB) (ca, identity, ingestion string) {
	t.Helper()
	dir := t.TempDir()
	snpguard(t, "keys", dir)
	return filepath.Join(dir, "ca.pem"), filepath.Join(dir, "identity.pem"), filepath.Join(dir, "ingestion.pem")
}

func identityPEM(t testing.TB, key ed25519.PublicKey) string {
	t.Helper()
	encoded, err := keyfile.Identity(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(encoded)
}

// TestWrongCA boots an image that trusts another CA: whoever answers at the
// service's address gets no report.
func TestWrongCA(t *testing.T) {
	t.Parallel()
	_, identity, ingestion := keyFiles(t)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	writeFile(t, ca, newImpostor(t).ca)
	c := convertSmall(t, "debian", "wrong-ca", "--deadline", impatient, "--ca-file", ca, "--identity-key", identity, "--ingestion-key", ingestion)
	h := newHost(t, c, registered(t, "wrong-ca", c))
	poweredOff(t, h.boot(t), `unlock: .*x509: certificate signed by unknown authority.* \(given up: the deadline of 1m0s has passed\)`)
	neverAsked(t, h)
}

// TestWrongIdentityKey boots an image that expects another identity key: the
// service grants the key, and the guest does not take it.
func TestWrongIdentityKey(t *testing.T) {
	t.Parallel()
	ca, identity, ingestion := keyFiles(t)
	public, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, identity, identityPEM(t, public))
	c := convertSmall(t, "debian", "wrong-identity", "--deadline", impatient, "--ca-file", ca, "--identity-key", identity, "--ingestion-key", ingestion)
	h := newHost(t, c, registered(t, "wrong-identity", c))
	poweredOff(t, h.boot(t), `unlock: .*the grant is not signed by the measured identity key`)
	for i, r := range records(t, h) {
		if r.Outcome != "granted" {
			t.Errorf("audit record %d: %s, %s", i, r.Outcome, r.Reason)
		}
	}
	if len(records(t, h)) == 0 {
		t.Error("there is no audit record of this launch")
	}
}

// TestServiceReturnsAnotherVMK boots an image at a service that has a certificate
// of its CA and its identity key, but another volume key.
func TestServiceReturnsAnotherVMK(t *testing.T) {
	t.Parallel()
	ca, identity, ingestion := keyFiles(t)
	i := newImpostor(t)
	writeFile(t, ca, i.ca)
	writeFile(t, identity, identityPEM(t, i.identity.Public().(ed25519.PublicKey)))
	c := convertSmall(t, "debian", "impostor", "--deadline", impatient, "--service", i.serve(t), "--ca-file", ca,
		"--identity-key", identity, "--ingestion-key", ingestion)
	i.image = c.Conversion.ImageID
	h := newHost(t, c, registered(t, "impostor", c))
	poweredOff(t, h.boot(t), `unlock: .*the volume key is not the measured one`)
	neverAsked(t, h)
	if i.grants.Load() == 0 {
		t.Error("the impostor was not asked")
	}
}

// impostor is a service of an attacker.
type impostor struct {
	ca       string // PEM
	cert     tls.Certificate
	identity ed25519.PrivateKey
	image    wire.UUID
	grants   atomic.Int32
}

func newImpostor(t testing.TB) *impostor {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "CA"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, IPAddresses: []net.IP{net.ParseIP(hostAddress)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	_, identity, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return &impostor{
		ca:   string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		cert: tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, identity: identity,
	}
}

// serve returns the URL for guests.
func (i *impostor) serve(t testing.TB) string {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+wire.PathChallenge, func(w http.ResponseWriter, _ *http.Request) {
		answer(w, wire.Challenge{Nonce: make([]byte, wire.NonceSize), ExpiresIn: 60})
	})
	mux.HandleFunc("POST "+wire.PathUnlock, func(w http.ResponseWriter, r *http.Request) {
		var request wire.UnlockRequest
		if err := json.NewDecoder(r.Body).Decode(&request); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		grant, err := i.grant(&request)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		answer(w, grant)
	})
	server := httptest.NewUnstartedServer(mux)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{i.cert}}
	server.StartTLS()
	t.Cleanup(server.Close)
	_, port, err := net.SplitHostPort(server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return "https://" + net.JoinHostPort(hostAddress, port)
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(v); err != nil {
		panic(err) // of types of our own
	}
}

// grant answers with a key of the attacker's, all the rest in order.
func (i *impostor) grant(r *wire.UnlockRequest) (*wire.Grant, error) {
	i.grants.Add(1)
	data := wire.UnlockBinding{Nonce: r.Nonce, PublicKey: r.PublicKey, BootKey: r.BootKey, Image: i.image, SealedVMK: sha256.Sum256(r.SealedVMK), Disk: r.Disk.Hash()}.ReportData()
	key, err := seal.ParsePublicKey(r.PublicKey)
	if err != nil {
		return nil, err
	}
	sealed, err := key.Seal(wire.GrantInfo(data), make([]byte, wire.VMKSize))
	if err != nil {
		return nil, err
	}
	g := &wire.Grant{Time: time.Now().UnixMilli(), State: wire.StateNone, Enc: sealed[:wire.EncSize], Ciphertext: sealed[wire.EncSize:]}
	g.Signature = ed25519.Sign(i.identity, wire.GrantTranscript(data, g))
	return g, nil
}
