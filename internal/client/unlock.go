package client

import (
	"context"
	"net/http"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// Challenge asks for a nonce. It needs no token.
func (c *Client) Challenge(ctx context.Context) (*wire.Challenge, error) {
	var challenge wire.Challenge
	if err := c.call(ctx, request{method: http.MethodPost, path: wire.PathChallenge}, nil, &challenge); err != nil {
		return nil, err
	}
	return &challenge, challenge.Validate()
}

// Unlock asks for a volume key. It needs no token: the report speaks for itself.
func (c *Client) Unlock(ctx context.Context, r *wire.UnlockRequest) (*wire.Grant, error) {
	var grant wire.Grant
	if err := c.call(ctx, request{method: http.MethodPost, path: wire.PathUnlock}, r, &grant); err != nil {
		return nil, err
	}
	return &grant, grant.Validate()
}

// Update asks for a newer release, as a running guest. It needs no token.
func (c *Client) Update(ctx context.Context, call *wire.GuestCall) (*wire.GuestAnswer, error) {
	var answer wire.GuestAnswer
	if err := c.call(ctx, request{method: http.MethodPost, path: wire.PathUpdate}, call, &answer); err != nil {
		return nil, err
	}
	return &answer, answer.Validate()
}
