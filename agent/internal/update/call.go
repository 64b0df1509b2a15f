package update

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/report"
	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/service"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/bootconf"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/identity"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/strictjson"
)

// errSignature is an answer of somebody else, or to another call.
var errSignature = errors.New("the answer is not signed by the measured identity key for this call")

// downloadTimeout is of a whole bundle.
const downloadTimeout = 30 * time.Minute

// Attest returns a report with the given REPORT_DATA.
type Attest func(data [report.DataSize]byte) (*report.Evidence, error)

// Session talks to the services that the boot was measured with.
type Session struct {
	image    wire.UUID
	services []string
	identity ed25519.PublicKey
	roots    service.Roots
	attest   Attest
}

// NewSession takes the configuration of this boot.
func NewSession(c *bootconf.Config, attest Attest) (*Session, error) {
	key, err := identity.Parse(c.IdentityKey)
	if err != nil {
		return nil, fmt.Errorf("measured identity key: %w", err)
	}
	roots, err := service.ParseRoots(c.CA)
	if err != nil {
		return nil, err
	}
	return &Session{image: c.ImageID, services: c.Services, identity: key, roots: roots, attest: attest}, nil
}

// answer is the body of an answer.
type answer interface{ Validate() error }

// Call makes a call to one service after the other until one answers, and returns
// which did. The error may wrap service.ErrDenied.
func (s *Session) Call(ctx context.Context, call wire.Call, body any, out answer) (string, error) {
	encoded, err := json.Marshal(body)
	if err != nil {
		return "", err
	}
	var failed []error
	for _, at := range s.services {
		client, err := service.New(s.roots, at, (&net.Dialer{}).DialContext, service.CallTimeout)
		if err == nil {
			err = s.call(ctx, client, call, encoded, out)
		}
		if err == nil {
			return at, nil
		}
		failed = append(failed, fmt.Errorf("%s: %w", at, err))
	}
	return "", errors.Join(failed...)
}

// call makes a call to one service.
func (s *Session) call(ctx context.Context, client *service.Client, call wire.Call, body []byte, out answer) error {
	nonce, err := client.Challenge(ctx)
	if err != nil {
		return err
	}
	data := wire.CallBinding{Nonce: nonce, Image: s.image, Body: sha256.Sum256(body)}.ReportData(call)
	evidence, err := s.attest(data)
	if err != nil {
		return fmt.Errorf("get attestation report: %w", err)
	}
	var signed wire.GuestAnswer
	if err := client.Post(ctx, call.Path(), &wire.GuestCall{Report: evidence.Report, Certificates: evidence.Certificates, Nonce: nonce, Body: body}, &signed); err != nil {
		return err
	}
	return s.open(call, data, &signed, out)
}

// open checks an answer, and reads it only when it is this service's to this call.
func (s *Session) open(call wire.Call, data [report.DataSize]byte, signed *wire.GuestAnswer, out answer) error {
	if err := signed.Validate(); err != nil {
		return fmt.Errorf("%w: %w", service.ErrAnswer, err)
	}
	if !ed25519.Verify(s.identity, wire.AnswerTranscript(call, data, signed.Body), signed.Signature) {
		return errSignature
	}
	// Strict, but for fields that a service newer than this image may add.
	if err := (strictjson.Rules{SkipUnknown: true}).Decode(signed.Body, out); err != nil {
		return fmt.Errorf("%w: %w", service.ErrAnswer, err)
	}
	if err := out.Validate(); err != nil {
		return fmt.Errorf("%w: %w", service.ErrAnswer, err)
	}
	return nil
}

// fetch begins to fetch the bundle that a ticket of this service is for.
func (s *Session) fetch(ctx context.Context, at string, ticket []byte) (io.ReadCloser, error) {
	client, err := service.New(s.roots, at, (&net.Dialer{}).DialContext, downloadTimeout)
	if err != nil {
		return nil, err
	}
	return client.Fetch(ctx, wire.PathBundle, &wire.BundleRequest{Ticket: ticket}, "application/x-tar")
}
