package update

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/bundle"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/strictjson"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/audit"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/registry"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/unlock"
)

// Fleet keeps what guests say and knows the releases; *store.Store does.
type Fleet interface {
	// RecordSighting keeps what a guest says and uses up its nonce.
	RecordSighting(ctx context.Context, sighting store.Sighting) (store.Sighted, error)

	// ReleasesOfKernels returns the releases of an image that have one of these kernels.
	ReleasesOfKernels(ctx context.Context, image wire.UUID, kernels [][32]byte) ([]store.Release, error)

	// ImageByID and ReleaseByID return what a ticket is for. Their errors wrap store.ErrNotFound.
	ImageByID(ctx context.Context, id wire.UUID) (store.Image, error)
	ReleaseByID(ctx context.Context, id wire.UUID) (store.Release, error)

	// InstanceByID returns the instance that a guest was launched as. The error wraps store.ErrNotFound.
	InstanceByID(ctx context.Context, id wire.UUID) (store.Instance, error)
}

// Config is what a Service works with. All of it is needed.
type Config struct {
	Prover   *unlock.Service // judges reports
	Fleet    Fleet
	Bundles  *registry.Registry
	Identity ed25519.PrivateKey
	Key      []byte // authenticates tickets, together with the nonces
	Now      func() time.Time
}

// Service answers guests. It is safe for concurrent use.
type Service struct {
	Config
	downloads chan struct{} // one for each that is under way
}

// maxDownloads is how many bundles are sent to guests at the same time: each holds a
// connection and reads artifacts, and all guests of a fleet come on the same day.
const maxDownloads = 16

// New returns a Service.
func New(config Config) *Service {
	return &Service{Config: config, downloads: make(chan struct{}, maxDownloads)}
}

// Names of the calls in records and in the log.
const (
	nameUpdate  = "update"
	nameConfirm = "confirm"
)

// evidenceOf returns what a call shows for who asks.
func evidenceOf(call wire.Call, c *wire.GuestCall) unlock.Evidence {
	return unlock.Evidence{Report: c.Report, Certificates: c.Certificates, Nonce: c.Nonce, Data: func(image, instance wire.UUID) [64]byte {
		return wire.CallBinding{Nonce: c.Nonce, Image: image, Instance: instance, Body: sha256.Sum256(c.Body)}.ReportData(call)
	}}
}

// decode reads a call's body. The error wraps wire.ErrShape.
func decode(body []byte, out interface{ Validate() error }) error {
	if err := strictjson.Decode(body, out); err != nil {
		return fmt.Errorf("%w: body: %w", wire.ErrShape, err)
	}
	return out.Validate()
}

// Update tells a guest whether there is a release for it. The call has its right
// sizes. The error is a *unlock.Denial or wraps unlock.ErrUnavailable or wire.ErrShape.
func (s *Service) Update(ctx context.Context, call *wire.GuestCall, caller unlock.Caller) (*wire.GuestAnswer, error) {
	var asks wire.UpdateRequest
	if err := decode(call.Body, &asks); err != nil {
		return nil, err
	}
	guest, err := s.prove(ctx, wire.CallUpdate, nameUpdate, call, caller)
	if err != nil {
		return nil, err
	}
	state, err := stateOf(&asks)
	if err != nil {
		return nil, err
	}
	if err := s.record(ctx, nameUpdate, guest, caller, store.Sighting{Machine: guest.machine(asks.Machine), State: state}); err != nil {
		return nil, err
	}
	answer, err := s.answer(ctx, guest.Proven, &asks)
	if err != nil {
		return nil, fmt.Errorf("%w: find releases: %w", unlock.ErrUnavailable, err)
	}
	return s.sign(wire.CallUpdate, nameUpdate, guest.Proven, answer, caller)
}

// stateOf returns what the fleet's table keeps.
func stateOf(asks *wire.UpdateRequest) (*store.MachineState, error) {
	state := &store.MachineState{Running: asks.Running, Failed: asks.Failed}
	for _, k := range asks.Kernels {
		sum, err := hex.DecodeString(k.SHA256)
		if err != nil || len(sum) != sha256.Size {
			return nil, fmt.Errorf("%w: sha256", wire.ErrShape)
		}
		state.Kernels = append(state.Kernels, store.MachineKernel{Release: k.Release, SHA256: [32]byte(sum), Newer: k.Modules && newer(k.Release, asks.Running)})
	}
	return state, nil
}

// Confirm notes that a machine has booted its release completely. The errors are Update's.
func (s *Service) Confirm(ctx context.Context, call *wire.GuestCall, caller unlock.Caller) (*wire.GuestAnswer, error) {
	var says wire.ConfirmRequest
	if err := decode(call.Body, &says); err != nil {
		return nil, err
	}
	guest, err := s.prove(ctx, wire.CallConfirm, nameConfirm, call, caller)
	if err != nil {
		return nil, err
	}
	machine := guest.machine(says.Machine)
	record := guest.Record().WithDetail("machine", machine.String())
	record.Reason = audit.ReasonConfirmed
	if err := s.record(ctx, nameConfirm, guest, caller, store.Sighting{Machine: machine, Confirmed: &record}); err != nil {
		return nil, err
	}
	return s.sign(wire.CallConfirm, nameConfirm, guest.Proven, &wire.ConfirmAnswer{Release: guest.Launch.Release.ID}, caller)
}

// record keeps what a guest says, of the release that its report names.
func (s *Service) record(ctx context.Context, name string, guest *guest, caller unlock.Caller, sighting store.Sighting) error {
	sighting.Nonce, sighting.Image, sighting.Release = guest.Nonce, guest.Launch.Image.ID, guest.Launch.Release.ID
	done, err := s.Fleet.RecordSighting(ctx, sighting)
	switch {
	case err != nil:
		return fmt.Errorf("%w: record the call: %w", unlock.ErrUnavailable, err)
	case done.NonceUsed:
		return s.Prover.Refuse(ctx, name, guest.Proven, caller, &unlock.Denial{
			Reason: audit.ReasonNonceUsed, Rule: "nonce", Expected: "a nonce that was not used before", Found: "a used nonce",
		})
	}
	return nil
}

// sign makes the answer to one call.
func (s *Service) sign(call wire.Call, name string, guest *unlock.Proven, answer any, caller unlock.Caller) (*wire.GuestAnswer, error) {
	body, err := json.Marshal(answer)
	if err != nil {
		return nil, fmt.Errorf("encode answer: %w", err)
	}
	signed := &wire.GuestAnswer{Body: body, Signature: ed25519.Sign(s.Identity, wire.AnswerTranscript(call, guest.ReportData, body))}
	if err := signed.Validate(); err != nil {
		return nil, errors.New("the answer is too large")
	}
	s.Prover.Answered(name, caller)
	return signed, nil
}

// Bundle opens the launch bundle that a ticket is for; Close gives its place back. The
// error is a *unlock.Denial or wraps unlock.ErrUnavailable.
func (s *Service) Bundle(ctx context.Context, ticket []byte) (*Bundle, error) {
	image, id, err := s.openTicket(ticket)
	if err != nil {
		return nil, err
	}
	select {
	case s.downloads <- struct{}{}:
	default:
		return nil, fmt.Errorf("%w: %d bundles are being sent", unlock.ErrUnavailable, maxDownloads)
	}
	export, err := s.bundle(ctx, image, id)
	if err != nil {
		<-s.downloads
		return nil, err
	}
	return &Bundle{export, s}, nil
}

// bundle looks again at what may have changed since the ticket was made.
func (s *Service) bundle(ctx context.Context, image, id wire.UUID) (*registry.Export, error) {
	gone := &unlock.Denial{Reason: reasonTicket, Rule: "ticket", Expected: "a release in force", Found: id.String()}
	of, err := s.Fleet.ImageByID(ctx, image)
	if err == nil && !of.Enabled {
		return nil, gone
	}
	var release store.Release
	if err == nil {
		release, err = s.Fleet.ReleaseByID(ctx, id)
	}
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil, gone
	case err != nil:
		return nil, fmt.Errorf("%w: look up release: %w", unlock.ErrUnavailable, err)
	case release.ImageID != image || !inForce(&release):
		return nil, gone
	}
	export, err := s.Bundles.Bundle(ctx, image, id, registry.ExportOptions{Format: bundle.Tar})
	if err != nil {
		return nil, fmt.Errorf("%w: prepare bundle: %w", unlock.ErrUnavailable, err)
	}
	return export, nil
}

// Bundle is a bundle that is about to be sent.
type Bundle struct {
	*registry.Export
	service *Service
}

// Close gives the place back.
func (b *Bundle) Close() {
	b.Export.Close()
	<-b.service.downloads
}
