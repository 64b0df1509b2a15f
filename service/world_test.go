package main

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/snp"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/client"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/seal"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/sim"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/sim/simtest"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/testing/vectors"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/guesttest"
)

// simulation is a simulated AMD with its KDS, and a host.
type simulation struct {
	amd  *sim.AMD
	kds  *httptest.Server
	root string // PEM file of the ARK
	host *guesttest.Host
}

func simulate(tb testing.TB) *simulation {
	tb.Helper()
	s := &simulation{amd: simtest.AMD(tb), root: filepath.Join(tb.TempDir(), "ark.pem")}
	s.kds = httptest.NewServer(sim.NewKDS(s.amd))
	tb.Cleanup(s.kds.Close)
	if err := os.WriteFile(s.root, s.amd.Line(snp.Milan).ARK.PEM(), 0o600); err != nil {
		tb.Fatal(err)
	}
	s.host = guesttest.NewHost(tb, s.amd, sim.NewChip(snp.Milan, "chip", sim.RecentTCB(snp.Milan)))
	return s
}

// flags make a service trust the simulation.
func (s *simulation) flags(more ...string) []string {
	return append([]string{"--insecure-trust-root", s.root, "--kds", s.kds.URL}, more...)
}

// login makes a token with the master password of a first start.
func login(tb testing.TB, p *process) (*client.Client, *client.Login) {
	tb.Helper()
	found, err := client.Discover(tb.Context(), p.url)
	if err != nil {
		tb.Fatal(err)
	}
	l := &client.Login{URL: p.url, CA: found.Info.CACertificate, IdentityKey: found.Info.IdentityKey, IngestionKey: found.Info.IngestionKey}
	anonymous, err := l.Client()
	if err != nil {
		tb.Fatal(err)
	}
	token, err := anonymous.TokenByPassword(tb.Context(), p.password, "test", time.Hour)
	if err != nil {
		tb.Fatal(err)
	}
	l.Token = token.Secret
	c, err := l.Client()
	if err != nil {
		tb.Fatal(err)
	}
	return c, l
}

// registered is an image that the service knows.
type registered struct {
	*guesttest.Image
	answer *wire.Registered
}

// register registers a new image with two variants.
func register(tb testing.TB, c *client.Client, ingestion []byte, change func(*wire.Registration)) *registered {
	tb.Helper()
	key, err := seal.ParsePublicKey(ingestion)
	if err != nil {
		tb.Fatal(err)
	}
	image := guesttest.NewImage(tb, key)
	in := wire.Registration{ImageID: image.ID, Name: "debian " + image.ID.String(), VCPUs: []int{2, 4}, VCPUTypes: []string{"EPYC-Milan"}}
	if change != nil {
		change(&in)
	}
	answer, err := c.Register(tb.Context(), in, uploads(tb, image), false, nil)
	if err != nil {
		tb.Fatal(err)
	}
	return &registered{image, answer}
}

func uploads(tb testing.TB, image *guesttest.Image) []client.Upload {
	tb.Helper()
	file := func(part string, data []byte) client.Upload {
		return client.Upload{Part: part, Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil }}
	}
	return []client.Upload{
		file("firmware", vectors.MustRead(tb, "measure/inputs/fw/ovmf-amdsev-sid-2026.08.fd")),
		file("kernel", vectors.MustRead(tb, "measure/inputs/payload/kernel_1500001.bin")),
		file("initrd", vectors.MustRead(tb, "measure/inputs/payload/initrd_4097.bin")),
		file("cmdline", []byte("root=/dev/mapper/cryptroot")),
		file("unsealing_key", image.UnsealingKey),
	}
}

// launch launches a guest of the default variant.
func (r *registered) launch(tb testing.TB, host *guesttest.Host) *guesttest.Guest {
	tb.Helper()
	g, err := r.newGuest(host)
	if err != nil {
		tb.Fatal(err)
	}
	return g
}

// newGuest is launch for goroutines, which may not fail a test.
func (r *registered) newGuest(host *guesttest.Host) (*guesttest.Guest, error) {
	g, err := host.NewGuest(r.Image)
	if err != nil {
		return nil, err
	}
	g.Report.AuthorKeyEn, g.Report.ImageID = true, r.answer.Release.ID
	for text, field := range map[string][]byte{
		r.answer.Image.IDKeyDigest: g.Report.IDKeyDigest[:], r.answer.Image.AuthorKeyDigest: g.Report.AuthorKeyDigest[:],
		r.answer.Release.Variants[0].Measurement: g.Report.Measurement[:],
	} {
		if n, err := hex.Decode(field, []byte(text)); err != nil || n != len(field) {
			return nil, fmt.Errorf("digest %q: %w", text, err)
		}
	}
	return g, nil
}

// boot does what the agent does.
func boot(ctx context.Context, c *client.Client, g *guesttest.Guest, identity []byte) ([]byte, error) {
	challenge, err := c.Challenge(ctx)
	if err != nil {
		return nil, err
	}
	request, err := g.NewRequest(challenge.Nonce)
	if err != nil {
		return nil, err
	}
	grant, err := c.Unlock(ctx, request)
	if err != nil {
		return nil, err
	}
	return g.Open(request, grant, identity)
}
