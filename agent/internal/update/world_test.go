package update_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/report"
	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/status"
	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/update"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/slots"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/bootconf"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/bundle"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// world is a guest with a file system and slots, and the service that it was measured
// with.
type world struct {
	t        *testing.T
	root     string
	identity ed25519.PrivateKey
	image    wire.UUID
	running  wire.UUID
	instance wire.UUID // that it was launched as, zero for none
	bootKey  ed25519.PrivateKey
	slots    *fakeSlots
	none     error // what opening the slots fails with
	rebooted []string
	log      strings.Builder

	// What the service answers, and was asked.
	answer  wire.UpdateAnswer
	bundle  []byte
	asked   []wire.UpdateRequest
	said    []wire.ConfirmRequest
	signed  []bool // by the boot key
	fetched int
	forge   func(call wire.Call, data [64]byte, a *wire.GuestAnswer) // changes an answer
	refuse  int                                                      // status of calls
}

const kernelName = "6.12.63+deb13-cloud-amd64"

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newWorld(t *testing.T) *world {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	w := &world{t: t, root: t.TempDir(), identity: key, bootKey: ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize)), image: wire.NewUUID(), running: wire.NewUUID()}
	w.slots = &fakeSlots{state: slots.State{Active: slots.A}, files: map[string]map[string][]byte{slots.A: {}, slots.B: {}}}
	w.fill(slots.A, w.release(w.running, []byte("kernel 1")))
	w.write("proc/sys/kernel/osrelease", "6.12.57+deb13-cloud-amd64\n")
	w.boots("first")
	w.write("etc/machine-id", strings.Repeat("0123456789abcdef", 2)+"\n")
	w.kernel("6.12.57+deb13-cloud-amd64", "kernel 1")
	w.writeConfig(w.serve())
	w.runs(w.running)
	w.answer = wire.UpdateAnswer{State: wire.UpdateNone}
	return w
}

func (w *world) write(name, content string) {
	w.t.Helper()
	path := filepath.Join(w.root, name)
	must(w.t, os.MkdirAll(filepath.Dir(path), 0o700))
	must(w.t, os.WriteFile(path, []byte(content), 0o600))
}

// kernel installs a kernel with its modules.
func (w *world) kernel(release, content string) {
	w.write("boot/vmlinuz-"+release, content)
	w.write("usr/lib/modules/"+release+"/modules.dep", "")
}

// boots gives the machine another boot_id.
func (w *world) boots(id string) { w.write("proc/sys/kernel/random/boot_id", id+"\n") }

// hostData is that of this launch.
func (w *world) hostData() [wire.HostDataSize]byte {
	if w.instance.IsZero() {
		return [wire.HostDataSize]byte{}
	}
	return wire.HostData(w.instance)
}

// runs makes a release that of this boot.
func (w *world) runs(release wire.UUID) {
	w.t.Helper()
	w.running = release
	hostData := w.hostData()
	s := status.Status{Format: status.Format, ImageID: w.image, Fields: &report.Fields{ImageID: release.String(), HostData: hex.EncodeToString(hostData[:])}}
	if !w.instance.IsZero() {
		s.Instance = &status.Instance{ID: w.instance, State: wire.StateReady, Generation: 2}
	}
	must(w.t, s.Write(filepath.Join(w.root, status.Path)))
}

func (w *world) writeConfig(url string, ca []byte) {
	w.t.Helper()
	c := &bootconf.Config{
		Format: bootconf.Format, ImageID: w.image, Services: []string{url}, CA: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca})),
		IdentityKey: w.identity.Public().(ed25519.PublicKey), VMKCommitment: strings.Repeat("0a", 32),
		Root: bootconf.Root{
			PartitionGUID: wire.NewUUID().String(), SealedVMKOffset: 12 << 20, PayloadOffset: 16 << 20, Cipher: bootconf.Cipher, SectorSize: 4096,
			Filesystem: "ext4", FilesystemUUID: wire.NewUUID().String(), Mount: bootconf.Mount{Options: []string{}},
		},
		Network: bootconf.Network{Mode: bootconf.ModeDHCP}, Deadline: 60, Initrd: bootconf.InitrdMinimal, Modules: bootconf.ModulesRequired,
		UnsealingKey: make([]byte, wire.PublicKeySize),
	}
	encoded, err := c.Encode()
	must(w.t, err)
	w.write(bootconf.PathRunConfig, string(encoded))
}

// release makes the files of a bundle.
func (w *world) release(id wire.UUID, kernel []byte) bundle.Release {
	blob := func(content []byte) bundle.Blob {
		return bundle.Blob{Size: int64(len(content)), SHA256: sha256.Sum256(content), Open: func() (io.ReadCloser, error) {
			return io.NopCloser(bytes.NewReader(content)), nil
		}}
	}
	return bundle.Release{
		Image: w.image, Release: id, ImageName: "image", CreatedAt: time.Unix(1e9, 0), Cmdline: "ro",
		Firmware: blob([]byte("firmware")), Kernel: blob(kernel), Initrd: blob([]byte("initrd")),
		Variants: []bundle.ReleaseVariant{{VCPUs: 1, VCPUType: "EPYC", IDBlock: make([]byte, 96), IDAuth: make([]byte, 4096)}},
	}
}

func (w *world) encode(r bundle.Release, key ed25519.PrivateKey) []byte {
	w.t.Helper()
	var out bytes.Buffer
	must(w.t, bundle.Write(&out, r, key, bundle.Tar))
	return out.Bytes()
}

// fill puts a bundle into a slot.
func (w *world) fill(slot string, r bundle.Release) {
	w.t.Helper()
	dir := w.t.TempDir()
	_, err := bundle.Extract(bytes.NewReader(w.encode(r, w.identity)), dir, w.identity.Public().(ed25519.PublicKey))
	must(w.t, err)
	must(w.t, w.slots.fill(slot, os.DirFS(dir)))
}

// offer has the service name a release with an installed kernel.
func (w *world) offer(id wire.UUID, kernel string) {
	w.kernel(kernelName, kernel)
	sum := sha256.Sum256([]byte(kernel))
	w.answer = wire.UpdateAnswer{State: wire.UpdateAvailable, Available: &wire.AvailableRelease{
		Release: id, Kernel: kernelName, SHA256: hex.EncodeToString(sum[:]), Size: 100, Ticket: bytes.Repeat([]byte{7}, wire.TicketSize),
	}}
	w.bundle = w.encode(w.release(id, []byte(kernel)), w.identity)
}

func (w *world) guest() *update.Guest {
	return &update.Guest{
		Root: w.root,
		Open: func() (update.Slots, func() error, error) { return w.slots, func() error { return nil }, w.none },
		Reboot: func(_ context.Context, at string) error {
			w.rebooted = append(w.rebooted, at)
			return nil
		},
		Attest: func(data [64]byte) (*report.Evidence, error) {
			e := &report.Evidence{Report: make([]byte, report.Size)}
			copy(e.Report[0x50:], data[:])
			hostData := w.hostData()
			copy(e.Report[0xC0:], hostData[:])
			return e, nil
		},
		Log: func(format string, args ...any) { fmt.Fprintf(&w.log, format+"\n", args...) },
	}
}

// serve starts the service and returns its URL and CA.
func (w *world) serve() (url string, ca []byte) {
	w.t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+wire.PathChallenge, func(rw http.ResponseWriter, _ *http.Request) {
		nonce := make([]byte, wire.NonceSize)
		rand.Read(nonce)
		reply(rw, wire.Challenge{Nonce: nonce, ExpiresIn: 60})
	})
	mux.HandleFunc("POST "+wire.PathUpdate, func(rw http.ResponseWriter, r *http.Request) {
		var asks wire.UpdateRequest
		w.take(rw, r, wire.CallUpdate, &asks, func() any { return w.answer })
		w.asked = append(w.asked, asks)
	})
	mux.HandleFunc("POST "+wire.PathConfirm, func(rw http.ResponseWriter, r *http.Request) {
		var says wire.ConfirmRequest
		w.take(rw, r, wire.CallConfirm, &says, func() any { return wire.ConfirmAnswer{Release: w.running} })
		w.said = append(w.said, says)
	})
	mux.HandleFunc("POST "+wire.PathBundle, func(rw http.ResponseWriter, r *http.Request) {
		var body wire.BundleRequest
		if json.NewDecoder(r.Body).Decode(&body) != nil || body.Validate() != nil {
			rw.WriteHeader(http.StatusBadRequest)
			return
		}
		w.fetched++
		rw.Header().Set("Content-Type", "application/x-tar")
		_, _ = rw.Write(w.bundle)
	})
	server := httptest.NewUnstartedServer(mux)
	cert := selfSigned(w.t)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{cert}}
	server.StartTLS()
	w.t.Cleanup(server.Close)
	return server.URL, cert.Certificate[0]
}

func reply(rw http.ResponseWriter, v any) {
	rw.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(rw).Encode(v)
}

// take reads a call, checks it as a service does that trusts every chip, and signs.
func (w *world) take(rw http.ResponseWriter, r *http.Request, call wire.Call, body interface{ Validate() error }, answer func() any) {
	var c wire.GuestCall
	err := errors.Join(json.NewDecoder(r.Body).Decode(&c), c.Validate())
	data := wire.CallBinding{Nonce: c.Nonce, Image: w.image, Instance: w.instance, Body: sha256.Sum256(c.Body)}.ReportData(call)
	if err == nil {
		err = errors.Join(json.Unmarshal(c.Body, body), body.Validate())
	}
	if err != nil || !bytes.Equal(c.Report[0x50:0x90], data[:]) {
		w.t.Errorf("%s: %v, or not bound", call, err)
	}
	w.signed = append(w.signed, ed25519.Verify(w.bootKey.Public().(ed25519.PublicKey), wire.BootCallTranscript(data), c.BootSignature))
	if w.refuse != 0 {
		rw.Header().Set("Content-Type", wire.ProblemContentType)
		rw.WriteHeader(w.refuse)
		_ = json.NewEncoder(rw).Encode(wire.Problem{Code: wire.CodeDenied, RequestID: "r1", Status: w.refuse})
		return
	}
	encoded, err := json.Marshal(answer())
	if err != nil {
		w.t.Error(err)
	}
	a := wire.GuestAnswer{Body: encoded, Signature: ed25519.Sign(w.identity, wire.AnswerTranscript(call, data, encoded))}
	if w.forge != nil {
		w.forge(call, data, &a)
	}
	reply(rw, a)
}

func selfSigned(t testing.TB) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	must(t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// fakeSlots keeps bundles in memory.
type fakeSlots struct {
	state slots.State
	files map[string]map[string][]byte
	did   []string
	fail  map[string]error
}

func (s *fakeSlots) State() slots.State { return s.state }

func (s *fakeSlots) do(what string) error {
	s.did = append(s.did, what)
	return s.fail[what]
}

func (s *fakeSlots) ReadFile(slot, name string, limit int64) ([]byte, error) {
	content, ok := s.files[slot][name]
	if !ok || int64(len(content)) > limit {
		return nil, fs.ErrNotExist
	}
	return content, nil
}

func (s *fakeSlots) fill(slot string, from fs.FS) error {
	s.files[slot] = map[string][]byte{}
	return fs.WalkDir(from, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := fs.ReadFile(from, path)
		s.files[slot][path] = content
		return err
	})
}

func (s *fakeSlots) Write(slot string, from fs.FS) error {
	if slot == s.state.Active || s.state.Trial {
		return slots.ErrInUse
	}
	return errors.Join(s.do("write "+slot), s.fill(slot, from))
}

func (s *fakeSlots) Switch(slot string, trial bool) error {
	if err := s.do(fmt.Sprintf("switch %s %t", slot, trial)); err != nil {
		return err
	}
	s.state = slots.State{Active: slot, Trial: trial}
	return nil
}

func (s *fakeSlots) Confirm() error {
	s.state.Trial = false
	return s.do("confirm")
}
