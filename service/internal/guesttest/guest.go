// Package guesttest plays a guest that wants its volume key, on a simulated
// chip. Tests and benchmarks of the service use it; nothing else may.
package guesttest

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"sync/atomic"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/snp"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/seal"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/sim"
)

// Image is a converted image: what the converter leaves behind.
type Image struct {
	ID           wire.UUID
	VMK          []byte
	Unsealing    *seal.PrivateKey
	SealedVMK    []byte // on the disk
	UnsealingKey []byte // sealed to the service's ingestion key
}

// NewImage makes an image for a service with this ingestion key.
func NewImage(tb testing.TB, ingestion *seal.PublicKey) *Image {
	tb.Helper()
	unsealing, err := seal.GenerateKey()
	if err != nil {
		tb.Fatal(err)
	}
	i := &Image{ID: wire.NewUUID(), VMK: make([]byte, wire.VMKSize), Unsealing: unsealing}
	copy(i.VMK, "the volume master key of "+i.ID.String())
	if i.SealedVMK, err = unsealing.Public().Seal(wire.SealedVMKInfo(i.ID), i.VMK); err != nil {
		tb.Fatal(err)
	}
	encoded, err := unsealing.Bytes()
	if err != nil {
		tb.Fatal(err)
	}
	if i.UnsealingKey, err = ingestion.Seal(wire.UnsealingKeyInfo(i.ID), encoded); err != nil {
		tb.Fatal(err)
	}
	return i
}

// Host launches guests on one simulated chip.
type Host struct {
	Chip     sim.Chip
	VEK      *sim.VEK
	ASK      []byte        // DER
	launches atomic.Uint64 // so that each has a REPORT_ID of its own
}

// NewHost returns a host with a chip of this simulated AMD.
func NewHost(tb testing.TB, amd *sim.AMD, chip sim.Chip) *Host {
	tb.Helper()
	vek, err := amd.VCEK(chip)
	if err != nil {
		tb.Fatal(err)
	}
	return &Host{Chip: chip, VEK: vek, ASK: amd.Line(chip.Product).ASK.Certificate.Raw}
}

// Guest is one launched guest.
type Guest struct {
	Host      *Host
	Report    *snp.Report // template of its reports; HostData names its instance
	Key       *seal.PrivateKey
	BootKey   ed25519.PrivateKey
	Disk      wire.InstanceDisk // what the disk shows of an instance
	SealedVMK []byte
	Image     wire.UUID
	VMK       []byte
	WithCerts bool // the host gives its certificates with the report
}

// Launch launches a guest of an image, with a REPORT_ID of its own. The caller
// fills in what else the launch puts into reports.
func (h *Host) Launch(tb testing.TB, image *Image) *Guest {
	tb.Helper()
	g, err := h.NewGuest(image)
	if err != nil {
		tb.Fatal(err)
	}
	return g
}

// NewGuest is Launch for goroutines, which may not fail a test.
func (h *Host) NewGuest(image *Image) (*Guest, error) {
	key, err := seal.GenerateKey()
	if err != nil {
		return nil, err
	}
	_, boot, err := ed25519.GenerateKey(nil)
	if err != nil {
		return nil, err
	}
	report := sim.ReportTemplate(h.Chip)
	report.FamilyID = image.ID
	binary.BigEndian.PutUint64(report.ReportID[:], h.launches.Add(1))
	return &Guest{Host: h, Report: report, Key: key, BootKey: boot, SealedVMK: image.SealedVMK, Image: image.ID, VMK: image.VMK, WithCerts: true}, nil
}

// Request answers a challenge.
func (g *Guest) Request(tb testing.TB, nonce []byte) *wire.UnlockRequest {
	tb.Helper()
	request, err := g.NewRequest(nonce)
	if err != nil {
		tb.Fatal(err)
	}
	return request
}

// NewRequest is Request for goroutines, which may not fail a test.
func (g *Guest) NewRequest(nonce []byte) (*wire.UnlockRequest, error) {
	report := *g.Report
	report.ReportData = wire.UnlockBinding{
		Nonce: nonce, PublicKey: g.Key.Public().Bytes(), BootKey: g.BootKey.Public().(ed25519.PublicKey), Image: g.Image,
		Instance: wire.HostInstance(report.HostData), SealedVMK: sha256.Sum256(g.SealedVMK), Disk: g.Disk.Hash(),
	}.ReportData()
	signed, err := g.Host.VEK.Report(&report)
	if err != nil {
		return nil, err
	}
	return &wire.UnlockRequest{
		Report: signed, Certificates: g.certificates(), Nonce: nonce, PublicKey: g.Key.Public().Bytes(),
		BootKey: g.BootKey.Public().(ed25519.PublicKey), SealedVMK: g.SealedVMK, Disk: g.Disk,
	}, nil
}

// certificates returns the host's table, or nil.
func (g *Guest) certificates() []byte {
	if !g.WithCerts {
		return nil
	}
	table := snp.CertTable{VCEK: g.Host.VEK.Certificate.Raw, ASK: g.Host.ASK}
	if g.Report.SigningKey == snp.SignedByVLEK {
		table.VCEK, table.VLEK = nil, table.VCEK
	}
	return table.Bytes()
}

// NewCall makes a call of the guest once it runs, signed by its boot key when it was
// launched as an instance.
func (g *Guest) NewCall(call wire.Call, nonce, body []byte) (*wire.GuestCall, error) {
	c, err := g.NewBootCall(call, nonce, body)
	if err != nil {
		return nil, err
	}
	if wire.HostInstance(g.Report.HostData).IsZero() {
		c.BootSignature = nil
	}
	return &c.GuestCall, nil
}

// NewBootCall makes a call that the boot key signs.
func (g *Guest) NewBootCall(call wire.Call, nonce, body []byte) (*wire.BootCall, error) {
	report := *g.Report
	report.ReportData = wire.CallBinding{Nonce: nonce, Image: g.Image, Instance: wire.HostInstance(report.HostData), Body: sha256.Sum256(body)}.ReportData(call)
	signed, err := g.Host.VEK.Report(&report)
	if err != nil {
		return nil, err
	}
	return &wire.BootCall{GuestCall: wire.GuestCall{
		Report: signed, Certificates: g.certificates(), Nonce: nonce, Body: body,
		BootSignature: ed25519.Sign(g.BootKey, wire.BootCallTranscript(report.ReportData)),
	}}, nil
}

// Open checks a grant as the agent does and returns the keys of its state.
func (g *Guest) Open(request *wire.UnlockRequest, grant *wire.Grant, identity ed25519.PublicKey) ([]byte, error) {
	if err := grant.Validate(); err != nil {
		return nil, err
	}
	report, err := snp.ParseReport(request.Report)
	if err != nil {
		return nil, err
	}
	if !ed25519.Verify(identity, wire.GrantTranscript(report.ReportData, grant), grant.Signature) {
		return nil, errors.New("grant is not signed by the service")
	}
	if instance := wire.HostInstance(g.Report.HostData); grant.State != wire.StateNone && grant.Instance != instance {
		return nil, errors.New("grant is of another instance")
	}
	return g.Key.Open(wire.GrantInfo(report.ReportData), append(append([]byte{}, grant.Enc...), grant.Ciphertext...))
}
