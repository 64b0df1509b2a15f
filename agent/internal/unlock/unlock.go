// Package unlock gets the keys of the root from an attestation service, as
// docs/protocol.md has it: a nonce, a report that binds it to an ephemeral key, the
// sealed volume key and what the disk shows of an instance, and a grant that only this
// boot can open. [Session.Call] makes the calls of an instance's boot after it.
//
// The network is the host's. The service is known by the measured CA and, for
// the grant itself, by the measured identity key; the golden key by the measured
// commitment. Which instance this is, the host chose by HOST_DATA; in which state it is,
// the service says and signs.
package unlock

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/guestcall"
	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/report"
	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/service"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/bootconf"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/identity"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/seal"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// Session is one boot's attempt to get its keys, and its calls after that. All tries
// use the same ephemeral key and boot key, so that a service which has released the key
// already, but whose answer was lost, answers again.
type Session struct {
	services   []string
	commitment [32]byte
	sealed     []byte
	disk       wire.InstanceDisk
	roots      service.Roots
	caller     guestcall.Caller
	key        *seal.PrivateKey
	timeout    time.Duration   // of one call
	service    *service.Client // that granted the key, by the way that it came
}

// New makes the boot's keys. sealed is the sealed volume key from the disk, and disk
// what it shows of the instance that the launch names.
func New(c *bootconf.Config, launch *report.Launch, sealed []byte, disk wire.InstanceDisk) (*Session, error) {
	if len(sealed) != wire.SealedVMKSize {
		return nil, fmt.Errorf("sealed volume key has %d bytes, want %d", len(sealed), wire.SealedVMKSize)
	}
	key, err := identity.Parse(c.IdentityKey)
	if err != nil {
		return nil, fmt.Errorf("measured identity key: %w", err)
	}
	s := &Session{services: c.Services, sealed: sealed, disk: disk, timeout: service.CallTimeout}
	if n, err := hex.Decode(s.commitment[:], []byte(c.VMKCommitment)); err != nil || n != len(s.commitment) {
		return nil, errors.New("measured commitment is malformed")
	}
	if s.roots, err = service.ParseRoots(c.CA); err != nil {
		return nil, err
	}
	if s.key, err = seal.GenerateKey(); err != nil {
		return nil, err
	}
	_, boot, err := ed25519.GenerateKey(nil)
	s.caller = guestcall.Caller{Image: c.ImageID, Identity: key, Launch: launch, Boot: boot}
	return s, err
}

// Forget drops the ephemeral key. A Go program cannot wipe it; it goes with the
// process.
func (s *Session) Forget() { s.key = nil }

// BootKey is what signs the calls of this boot.
func (s *Session) BootKey() ed25519.PrivateKey { return s.caller.Boot }

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
	public, boot := s.key.Public().Bytes(), s.caller.Boot.Public().(ed25519.PublicKey)
	data := wire.UnlockBinding{
		Nonce: nonce, PublicKey: public, BootKey: boot, Image: s.caller.Image, Instance: s.caller.Launch.Instance(),
		SealedVMK: sha256.Sum256(s.sealed), Disk: s.disk.Hash(),
	}.ReportData()
	evidence, err := s.caller.Launch.Attest(data)
	if err != nil {
		return nil, err
	}
	var grant wire.Grant
	err = c.Post(ctx, wire.PathUnlock, &wire.UnlockRequest{
		Report: evidence.Report, Certificates: evidence.Certificates, Nonce: nonce, PublicKey: public, BootKey: boot, SealedVMK: s.sealed, Disk: s.disk,
	}, &grant)
	if err != nil {
		return nil, err
	}
	result, err := s.open(data, &grant)
	if err != nil {
		return nil, err
	}
	s.service = c
	result.Service, result.Evidence, result.Came = url, evidence, time.Now()
	return result, nil
}
