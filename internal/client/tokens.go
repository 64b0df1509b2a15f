package client

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// CreateToken makes an API token.
func (c *Client) CreateToken(ctx context.Context, r wire.TokenRequest) (*wire.NewToken, error) {
	var token wire.NewToken
	return &token, c.call(ctx, request{method: http.MethodPost, path: wire.PathTokens}, r, &token)
}

// Tokens returns all tokens.
func (c *Client) Tokens(ctx context.Context) ([]wire.Token, error) {
	var list wire.TokenList
	return list.Tokens, c.call(ctx, request{method: http.MethodGet, path: wire.PathTokens}, nil, &list)
}

// RevokeToken ends a token.
func (c *Client) RevokeToken(ctx context.Context, id string) error {
	return c.call(ctx, request{method: http.MethodDelete, path: wire.PathTokens + "/" + url.PathEscape(id)}, nil, nil)
}

// TokenByPassword opens a session with the master password, makes an admin
// token in it and closes it again.
func (c *Client) TokenByPassword(ctx context.Context, password, name string, lifetime time.Duration) (*wire.NewToken, error) {
	var session wire.Session
	if err := c.call(ctx, request{method: http.MethodPost, path: wire.PathSession}, wire.Login{Password: password}, &session); err != nil {
		return nil, err
	}
	with := &Client{base: c.base, http: c.http, token: session.Secret}
	token, err := with.CreateToken(ctx, wire.TokenRequest{Name: name, Role: wire.RoleAdmin, ExpiresIn: int64(lifetime / time.Second)})
	return token, errors.Join(err, with.call(ctx, request{method: http.MethodDelete, path: wire.PathSession}, nil, nil))
}
