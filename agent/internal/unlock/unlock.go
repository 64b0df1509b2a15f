// Package unlock gets the volume key from an attestation service, as
// docs/protocol.md has it: a nonce, a report that binds it to an ephemeral key
// and the sealed volume key, and a grant that only this boot can open.
//
// The network is the host's. The service is known by the measured CA and, for
// the grant itself, by the measured identity key; the volume key by the measured
// commitment.
package unlock

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/report"
	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/service"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/bootconf"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/identity"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/seal"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// Errors of a grant. Neither names a byte of it.
var (
	errSignature  = errors.New("the grant is not signed by the measured identity key")
	errCommitment = errors.New("the volume key is not the measured one")
)

// Attest returns a report with the given REPORT_DATA.
type Attest func(data [report.DataSize]byte) (*report.Evidence, error)

// Session is one boot's attempt to get its key. All tries use the same ephemeral
// key, so that a service which has released the key already, but whose answer
// was lost, answers again.
type Session struct {
	image      wire.UUID
	services   []string
	identity   ed25519.PublicKey
	commitment [32]byte
	sealed     []byte
	roots      service.Roots
	attest     Attest
	key        *seal.PrivateKey
	boot       ed25519.PrivateKey
	timeout    time.Duration // of one call
}

// New makes the ephemeral key. sealed is the sealed volume key from the disk.
func New(c *bootconf.Config, sealed []byte, attest Attest) (*Session, error) {
	if len(sealed) != wire.SealedVMKSize {
		return nil, fmt.Errorf("sealed volume key has %d bytes, want %d", len(sealed), wire.SealedVMKSize)
	}
	key, err := identity.Parse(c.IdentityKey)
	if err != nil {
		return nil, fmt.Errorf("measured identity key: %w", err)
	}
	s := &Session{image: c.ImageID, services: c.Services, identity: key, sealed: sealed, attest: attest, timeout: service.CallTimeout}
	if n, err := hex.Decode(s.commitment[:], []byte(c.VMKCommitment)); err != nil || n != len(s.commitment) {
		return nil, errors.New("measured commitment is malformed")
	}
	if s.roots, err = service.ParseRoots(c.CA); err != nil {
		return nil, err
	}
	if s.key, err = seal.GenerateKey(); err != nil {
		return nil, err
	}
	_, s.boot, err = ed25519.GenerateKey(nil)
	return s, err
}

// Forget drops the ephemeral key. A Go program cannot wipe it; it goes with the
// process.
func (s *Session) Forget() { s.key = nil }

// Result is a volume key and how it came.
type Result struct {
	VMK      []byte // the caller wipes it
	Service  string
	Path     string // name of the way out, such as "eth0"
	Evidence *report.Evidence
	Time     time.Time // the service's, when it granted the key
	Came     time.Time // when the grant came, by this machine's clock
}

// try asks one service over one way.
func (s *Session) try(ctx context.Context, url string, dial service.Dial) (*Result, error) {
	c, err := service.New(s.roots, url, dial, s.timeout)
	if err != nil {
		return nil, err
	}
	nonce, err := c.Challenge(ctx)
	if err != nil {
		return nil, err
	}
	public, boot := s.key.Public().Bytes(), s.boot.Public().(ed25519.PublicKey)
	var disk wire.InstanceDisk
	data := wire.UnlockBinding{
		Nonce: nonce, PublicKey: public, BootKey: boot, Image: s.image, SealedVMK: sha256.Sum256(s.sealed), Disk: disk.Hash(),
	}.ReportData()
	evidence, err := s.attest(data)
	if err != nil {
		return nil, fmt.Errorf("get attestation report: %w", err)
	}
	var grant wire.Grant
	err = c.Post(ctx, wire.PathUnlock, &wire.UnlockRequest{
		Report: evidence.Report, Certificates: evidence.Certificates, Nonce: nonce, PublicKey: public, BootKey: boot, SealedVMK: s.sealed, Disk: disk,
	}, &grant)
	if err != nil {
		return nil, err
	}
	came := time.Now()
	vmk, err := s.open(data, &grant)
	if err != nil {
		return nil, err
	}
	return &Result{VMK: vmk, Service: url, Evidence: evidence, Time: time.UnixMilli(grant.Time), Came: came}, nil
}

// open checks a grant and returns the volume key.
func (s *Session) open(data [report.DataSize]byte, g *wire.Grant) ([]byte, error) {
	if err := g.Validate(); err != nil {
		return nil, fmt.Errorf("%w: %w", service.ErrAnswer, err)
	}
	if !ed25519.Verify(s.identity, wire.GrantTranscript(data, g), g.Signature) {
		return nil, errSignature
	}
	vmk, err := s.key.Open(wire.GrantInfo(data), slices.Concat(g.Enc, g.Ciphertext))
	if err != nil {
		return nil, err
	}
	commitment := wire.VMKCommitment(s.image, vmk)
	if subtle.ConstantTimeCompare(commitment[:], s.commitment[:]) != 1 {
		clear(vmk)
		return nil, errCommitment
	}
	return vmk, nil
}
