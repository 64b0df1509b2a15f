package unlock

import (
	"crypto/ed25519"
	"crypto/subtle"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/report"
	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/service"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// Errors of a grant. None names a byte of a key.
var (
	errSignature  = errors.New("the grant is not signed by the measured identity key")
	errCommitment = errors.New("the golden key is not the measured one")
	errInstance   = errors.New("the grant is for another instance than HOST_DATA names")
	errRecord     = errors.New("the instance is claimed, and the disk shows no record of it")
	errSameKey    = errors.New("the volume key is the golden key, which all copies of the image share")
)

// Result is the keys of a root and how they came. The caller wipes them.
type Result struct {
	State      wire.InstanceState
	Instance   wire.UUID // zero with StateNone
	Generation uint64    // of a ready instance: this boot has one more
	Golden     []byte    // the image's VMK, which opens the root without an instance, and before one is ready
	Volume     []byte    // the instance's own, once it is claimed

	Service  string
	Path     string // name of the way out, such as "eth0"
	Evidence *report.Evidence
	Time     time.Time // the service's, when it granted the key
	Came     time.Time // when the grant came, by this machine's clock
}

// Wipe wipes the keys.
func (r *Result) Wipe() {
	clear(r.Golden)
	clear(r.Volume)
}

// open checks a grant and returns its keys. A launch of an instance that is answered
// "none" is of an image without instances: the service decides, and has signed it.
func (s *Session) open(data [report.DataSize]byte, g *wire.Grant) (*Result, error) {
	if err := g.Validate(); err != nil {
		return nil, fmt.Errorf("%w: %w", service.ErrAnswer, err)
	}
	if !ed25519.Verify(s.caller.Identity, wire.GrantTranscript(data, g), g.Signature) {
		return nil, errSignature
	}
	if g.State != wire.StateNone && g.Instance != s.caller.Launch.Instance() {
		return nil, errInstance
	}
	if (g.State == wire.StateClaimed || g.State == wire.StateReady) && len(s.disk.Sealed) == 0 {
		return nil, errRecord
	}
	keys, err := s.key.Open(wire.GrantInfo(data), slices.Concat(g.Enc, g.Ciphertext))
	if err != nil {
		return nil, err
	}
	r := &Result{State: g.State, Instance: g.Instance, Generation: g.Generation, Time: time.UnixMilli(g.Time)}
	if err := s.split(r, keys); err != nil {
		clear(keys)
		return nil, err
	}
	return r, nil
}

// split tells the keys of a state apart, whose size the grant's has shown. The golden key is held against the measured
// commitment wherever it comes, and is nowhere taken for an instance's own.
func (s *Session) split(r *Result, keys []byte) error {
	switch r.State {
	case wire.StateReady:
		r.Volume = keys
	case wire.StateClaimed:
		r.Golden, r.Volume = keys[:wire.VMKSize:wire.VMKSize], keys[wire.VMKSize:]
	default:
		r.Golden = keys
	}
	if r.Golden != nil && !s.measured(r.Golden) {
		return errCommitment
	}
	if r.Volume != nil && s.measured(r.Volume) {
		return errSameKey
	}
	return nil
}

// measured reports whether a key is the one that the measured commitment is to.
func (s *Session) measured(key []byte) bool {
	commitment := wire.VMKCommitment(s.caller.Image, key)
	return subtle.ConstantTimeCompare(commitment[:], s.commitment[:]) == 1
}
