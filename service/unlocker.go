package main

import (
	"context"
	"errors"
	"log/slog"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/api"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/unlock"
)

// unlocker tells the API what to tell guests. The log says what happened.
type unlocker struct {
	*unlock.Service
	log *slog.Logger
}

// Challenge implements api.Unlocker.
func (u unlocker) Challenge(context.Context) (*wire.Challenge, error) {
	return u.Service.Challenge(), nil
}

// Unlock implements api.Unlocker.
func (u unlocker) Unlock(ctx context.Context, r *wire.UnlockRequest, c api.Caller) (*wire.Grant, error) {
	grant, err := u.Service.Unlock(ctx, r, unlock.Caller(c))
	var denial *unlock.Denial
	switch {
	case err == nil:
		u.log.Info("unlock granted", "request_id", c.RequestID, "address", c.Address)
	case errors.As(err, &denial):
		u.log.Warn("unlock denied", "request_id", c.RequestID, "address", c.Address, "reason", denial.Reason,
			"rule", denial.Rule, "expected", denial.Expected, "found", denial.Found)
		return nil, &api.Denied{Err: err}
	case errors.Is(err, unlock.ErrUnavailable):
		u.log.Error("unlock not decided", "request_id", c.RequestID, "address", c.Address, "error", err)
		return nil, &api.Unavailable{Err: err}
	}
	return grant, err
}
