package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"path/filepath"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/client"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/bundle"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/testing/vectors"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/guesttest"
)

// TestGuestUpdates is a guest's way to another release: it asks before there is one and
// once it is approved, fetches the bundle, boots it and confirms.
func TestGuestUpdates(t *testing.T) {
	s := simulate(t)
	p := start(t, s.flags("--data", filepath.Join(t.TempDir(), "data"))...)
	c, l := login(t, p)
	image := register(t, c, l.IngestionKey, nil)
	kernel := vectors.MustRead(t, "measure/inputs/payload/kernel_1000.bin")
	sum := sha256.Sum256(kernel)
	asks := wire.UpdateRequest{Machine: wire.UUID{1}, Running: "6.12.1", Kernels: []wire.InstalledKernel{{Release: "6.12.2", SHA256: hex.EncodeToString(sum[:]), Modules: true}}}
	guest := &runningGuest{c, l, image.launch(t, s.host)}

	var answer wire.UpdateAnswer
	guest.call(t, wire.CallUpdate, asks, &answer)
	fleet, err := c.Fleet(t.Context(), image.ID)
	if err != nil || answer.State != wire.UpdateWaiting || len(fleet.Waiting) != 1 || fleet.Waiting[0].Kernel != "6.12.2" || fleet.Waiting[0].Machines != 1 {
		t.Fatalf("answered %+v; fleet %+v, %v", answer, fleet, err)
	}

	second := addRelease(t, c, l, image, kernel)
	answer = wire.UpdateAnswer{}
	guest.call(t, wire.CallUpdate, asks, &answer)
	if answer.State != wire.UpdateAvailable || answer.Available.Release != second.ID || answer.Available.Kernel != "6.12.2" {
		t.Fatalf("answered %+v", answer)
	}
	m, err := bundle.Verify(guest.fetch(t, answer.Available.Ticket), l.IdentityKey)
	if err != nil || m.Release != second.ID || m.Image != image.ID {
		t.Fatalf("bundle %+v, %v", m, err)
	}

	image.answer.Release = *second
	guest.Guest = image.launch(t, s.host)
	if _, err := boot(t.Context(), c, guest.Guest, l.IdentityKey); err != nil {
		t.Fatal(err)
	}
	var confirmed wire.ConfirmAnswer
	guest.call(t, wire.CallConfirm, wire.ConfirmRequest{Machine: wire.UUID{1}}, &confirmed)
	if confirmed.Release != second.ID {
		t.Errorf("confirmed %s", confirmed.Release)
	}
	machines := 0
	err = c.Machines(t.Context(), image.ID, func(m *wire.Machine) error {
		machines++
		if m.Confirmed != second.ID || m.Release != second.ID || m.ConfirmedAt == nil {
			t.Errorf("machine %+v", m)
		}
		return nil
	})
	records, listed := c.Audit(t.Context(), client.AuditFilter{})
	if err != nil || listed != nil || machines != 1 || records[0].Reason != "release.confirmed" || records[0].Kind != "guest" {
		t.Errorf("%d machines, %v; %v, newest record %+v", machines, err, listed, records[0])
	}
}

// addRelease adds a release with another kernel, and another token approves it.
func addRelease(t *testing.T, c *client.Client, l *client.Login, image *registered, kernel []byte) *wire.Release {
	t.Helper()
	files := uploads(t, image.Image)
	files[1].Open = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(kernel)), nil }
	in := wire.Registration{ImageID: image.ID, VCPUs: []int{2}, VCPUTypes: []string{"EPYC-Milan"}}
	proposed, err := c.Register(t.Context(), in, files[:4], true, nil)
	if err != nil {
		t.Fatal(err)
	}
	token, err := c.CreateToken(t.Context(), wire.TokenRequest{Name: "colleague", Role: wire.RoleAdmin, ExpiresIn: 3600})
	if err != nil {
		t.Fatal(err)
	}
	other := *l
	other.Token = token.Secret
	colleague, err := other.Client()
	if err != nil {
		t.Fatal(err)
	}
	release, err := colleague.ApproveRelease(t.Context(), image.ID, proposed.Release.ID, wire.Approval{ContentHash: proposed.Release.ContentHash})
	if err != nil {
		t.Fatal(err)
	}
	return release
}

// runningGuest is a guest that has booted.
type runningGuest struct {
	client *client.Client
	login  *client.Login
	*guesttest.Guest
}

// call makes a call and checks the answer as the agent does.
func (g *runningGuest) call(t *testing.T, call wire.Call, body, out any) {
	t.Helper()
	encoded, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	challenge, err := g.client.Challenge(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	request, err := g.NewCall(call, challenge.Nonce, encoded)
	if err != nil {
		t.Fatal(err)
	}
	response := g.post(t, call.Path(), request)
	defer response.Body.Close()
	var answer wire.GuestAnswer
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("status %d, %v", response.StatusCode, err)
	}
	data := wire.CallBinding{Nonce: request.Nonce, Image: g.Image, Body: sha256.Sum256(request.Body)}.ReportData(call)
	if !ed25519.Verify(g.login.IdentityKey, wire.AnswerTranscript(call, data, answer.Body), answer.Signature) {
		t.Fatal("the answer is not signed by the service")
	}
	if err := json.Unmarshal(answer.Body, out); err != nil {
		t.Fatal(err)
	}
}

func (g *runningGuest) post(t *testing.T, path string, body any) *http.Response {
	t.Helper()
	encoded, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(g.login.CA))
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, g.login.URL+path, bytes.NewReader(encoded))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := (&http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}}).Do(request)
	if err != nil {
		t.Fatal(err)
	}
	return response
}

// fetch fetches a bundle by its ticket.
func (g *runningGuest) fetch(t *testing.T, ticket []byte) io.Reader {
	t.Helper()
	response := g.post(t, wire.PathBundle, wire.BundleRequest{Ticket: ticket})
	t.Cleanup(func() { _ = response.Body.Close() })
	if response.StatusCode != http.StatusOK || response.Header.Get("Content-Type") != "application/x-tar" {
		t.Fatalf("status %d", response.StatusCode)
	}
	return response.Body
}
