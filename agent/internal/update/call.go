package update

import (
	"context"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/guestcall"
	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/report"
	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/service"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/bootconf"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/identity"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// downloadTimeout is of a whole bundle.
const downloadTimeout = 30 * time.Minute

// Session talks to the services that the boot was measured with.
type Session struct {
	services []string
	roots    service.Roots
	caller   guestcall.Caller
}

// NewSession takes the configuration of this boot, and the boot key of an instance, which
// signs its calls.
func NewSession(c *bootconf.Config, launch *report.Launch, boot ed25519.PrivateKey) (*Session, error) {
	key, err := identity.Parse(c.IdentityKey)
	if err != nil {
		return nil, fmt.Errorf("measured identity key: %w", err)
	}
	roots, err := service.ParseRoots(c.CA)
	if err != nil {
		return nil, err
	}
	return &Session{c.Services, roots, guestcall.Caller{Image: c.ImageID, Identity: key, Launch: launch, Boot: boot}}, nil
}

// launchOf is the launch whose report the boot left.
func launchOf(attest report.Attest, fields *report.Fields) (*report.Launch, error) {
	data, err := hex.DecodeString(fields.HostData)
	if err != nil || len(data) != wire.HostDataSize {
		return nil, errors.New("HOST_DATA of this boot is malformed")
	}
	return report.LaunchOf(attest, [wire.HostDataSize]byte(data)), nil
}

// Call makes a call to one service after the other until one answers, and returns
// which did. The error may wrap service.ErrDenied.
func (s *Session) Call(ctx context.Context, call wire.Call, body any, out guestcall.Answer) (string, error) {
	encoded, err := guestcall.Encode(body)
	if err != nil {
		return "", err
	}
	var failed []error
	for _, at := range s.services {
		client, err := service.New(s.roots, at, (&net.Dialer{}).DialContext, service.CallTimeout)
		if err == nil {
			_, err = s.caller.Do(ctx, client, call, encoded, out)
		}
		if err == nil {
			return at, nil
		}
		failed = append(failed, fmt.Errorf("%s: %w", at, err))
	}
	return "", errors.Join(failed...)
}

// fetch begins to fetch the bundle that a ticket of this service is for.
func (s *Session) fetch(ctx context.Context, at string, ticket []byte) (io.ReadCloser, error) {
	client, err := service.New(s.roots, at, (&net.Dialer{}).DialContext, downloadTimeout)
	if err != nil {
		return nil, err
	}
	return client.Fetch(ctx, wire.PathBundle, &wire.BundleRequest{Ticket: ticket}, "application/x-tar")
}
