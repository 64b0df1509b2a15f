// Package guestcall makes the attested calls of a guest after its unlock, as
// docs/protocol.md has them: a nonce, a report that binds it to image, instance and
// body, for a call of an instance's boot the boot key's signature, and an answer that
// the measured identity key has signed for this call.
package guestcall

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/report"
	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/service"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/strictjson"
)

// ErrSignature is an answer of somebody else, or to another call.
var ErrSignature = errors.New("the answer is not signed by the measured identity key for this call")

// Caller is who calls.
type Caller struct {
	Image    wire.UUID
	Identity ed25519.PublicKey // measured, of the service
	Launch   *report.Launch
	Boot     ed25519.PrivateKey // signs the calls of an instance; nil: it is none
}

// Answer is the body of an answer.
type Answer interface{ Validate() error }

// Call is one that was bound to a report: what its answer must be signed for.
type Call struct {
	Kind       wire.Call
	Body       []byte
	ReportData [report.DataSize]byte
}

// Do makes a call to one service, and reads the answer's body into out. The body is
// JSON. The error may wrap service.ErrDenied.
func (c *Caller) Do(ctx context.Context, client *service.Client, kind wire.Call, body []byte, out Answer) (Call, error) {
	nonce, err := client.Challenge(ctx)
	if err != nil {
		return Call{}, err
	}
	call := Call{kind, body, wire.CallBinding{
		Nonce: nonce, Image: c.Image, Instance: c.Launch.Instance(), Body: sha256.Sum256(body),
	}.ReportData(kind)}
	evidence, err := c.Launch.Attest(call.ReportData)
	if err != nil {
		return Call{}, err
	}
	request := wire.GuestCall{Report: evidence.Report, Certificates: evidence.Certificates, Nonce: nonce, Body: body}
	if c.Boot != nil {
		request.BootSignature = ed25519.Sign(c.Boot, wire.BootCallTranscript(call.ReportData))
	}
	var signed wire.GuestAnswer
	if err := client.Post(ctx, kind.Path(), &request, &signed); err != nil {
		return Call{}, err
	}
	return call, c.Open(call, &signed, out)
}

// Open checks an answer, and reads it only when it is this service's to this call.
func (c *Caller) Open(call Call, signed *wire.GuestAnswer, out Answer) error {
	if err := signed.Validate(); err != nil {
		return fmt.Errorf("%w: %w", service.ErrAnswer, err)
	}
	if !ed25519.Verify(c.Identity, wire.AnswerTranscript(call.Kind, call.ReportData, signed.Body), signed.Signature) {
		return ErrSignature
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

// Encode returns the body of a call.
func Encode(body any) ([]byte, error) {
	encoded, err := json.Marshal(body)
	if err != nil {
		return nil, fmt.Errorf("encode call: %w", err)
	}
	return encoded, nil
}
