package access

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/limit"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/audit"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
)

// Accounts is who may do what: logging in and out, the password, and tokens. All of it
// is authorised, limited and on record.
type Accounts struct {
	Store     *store.Store // whose tokens are revoked
	Gate      *Gate
	Tokens    *Tokens
	Sessions  *Sessions
	Passwords *Passwords
	Failures  *limit.Limiter // of wrong tokens, sessions and passwords, by origin
}

// NewFailures returns the limits of failing to authenticate for a service of its own
// machine: of each origin and of all.
func NewFailures(now func() time.Time) *limit.Limiter {
	return limit.New(limit.Rate{PerSecond: 0.2, Burst: 20}, limit.Rate{PerSecond: 20, Burst: 200}, now)
}

// TooManyError is a request of somebody who has failed to authenticate too often.
type TooManyError struct {
	RetryAfter time.Duration
}

// Error says how long to wait.
func (e *TooManyError) Error() string {
	return fmt.Sprintf("too many failures, try again in %s", e.RetryAfter.Round(time.Second))
}

// CheckRate lets an origin try to authenticate. The error is a *TooManyError.
func (a *Accounts) CheckRate(origin string) error {
	if wait := a.Failures.Blocked(origin); wait > 0 {
		return &TooManyError{wait}
	}
	return nil
}

// Authenticate finds out whose secret, of a token or a session, an origin shows. The
// error wraps ErrUnauthenticated.
func (a *Accounts) Authenticate(ctx context.Context, origin, secret string) (Principal, error) {
	authenticate := a.Tokens.Authenticate
	if IsSession(secret) {
		authenticate = a.Sessions.Authenticate
	}
	principal, err := authenticate(ctx, secret)
	if errors.Is(err, ErrUnauthenticated) {
		a.Failures.Spend(origin)
	}
	return principal, err
}

// LogIn starts a session for somebody who gives the password. The error wraps
// ErrWrongPassword, or is an *InvalidError, a *LockedError or a *TooManyError.
func (a *Accounts) LogIn(ctx context.Context, actor Actor, password string) (Session, error) {
	if err := a.CheckRate(actor.Origin); err != nil {
		return Session{}, err
	}
	permit, err := a.Gate.Begin(ctx, actor, LogIn)
	if err != nil {
		return Session{}, err
	}
	defer permit.End()
	given, err := a.Passwords.Check(ctx, actor.Origin, password)
	if err != nil {
		return Session{}, a.passwordError(ctx, actor, err)
	}
	var session Session
	err = permit.Audited(ctx, func(ctx context.Context, record audit.Record) (_ audit.Record, err error) {
		if session, err = a.Sessions.Start(ctx, given); err != nil {
			return record, err
		}
		record.Actor = Principal{Session: true, ID: session.ID}.Actor()
		return record, nil
	})
	if err != nil {
		return Session{}, a.passwordError(ctx, actor, err)
	}
	return session, nil
}

// passwordError puts a wrong password on record. Those that were not looked at,
// since there were too many, are not: whoever guesses must not fill the disk.
func (a *Accounts) passwordError(ctx context.Context, actor Actor, err error) error {
	if !errors.Is(err, ErrWrongPassword) {
		return err
	}
	a.Failures.Spend(actor.Origin)
	record := actor.record(reasonWrongPassword)
	record.Outcome = audit.OutcomeDenied
	if _, recordErr := a.Gate.Log.RecordAdmin(ctx, record); recordErr != nil {
		return recordErr
	}
	return err
}

// LogOut ends the actor's session. The error is an *InvalidError for a token.
func (a *Accounts) LogOut(ctx context.Context, actor Actor) error {
	permit, err := a.Gate.Begin(ctx, actor, LogOut)
	if err != nil {
		return err
	}
	defer permit.End()
	if !actor.Principal.Session {
		return invalidf("this ends sessions; tokens are revoked")
	}
	return permit.Audited(ctx, func(ctx context.Context, record audit.Record) (audit.Record, error) {
		return record, a.Sessions.End(ctx, actor.Secret)
	})
}

// ChangePassword replaces the master password and ends all sessions. The error wraps
// ErrWrongPassword or ErrChanged, or is an *InvalidError, a *LockedError or a
// *TooManyError.
func (a *Accounts) ChangePassword(ctx context.Context, actor Actor, current, next string) error {
	if err := a.CheckRate(actor.Origin); err != nil {
		return err
	}
	permit, err := a.Gate.Begin(ctx, actor, ChangePassword)
	if err != nil {
		return err
	}
	defer permit.End()
	change, err := a.Passwords.Change(ctx, actor.Origin, current, next)
	if err != nil {
		return a.passwordError(ctx, actor, err)
	}
	return permit.Audited(ctx, func(ctx context.Context, record audit.Record) (audit.Record, error) {
		return record, change.Apply(ctx)
	})
}

// CreateToken makes a token and returns it with its secret, which is kept nowhere. The
// error is an *InvalidError.
func (a *Accounts) CreateToken(ctx context.Context, actor Actor, want wire.TokenRequest) (store.Token, string, error) {
	permit, err := a.Gate.Begin(ctx, actor, CreateToken)
	if err != nil {
		return store.Token{}, "", err
	}
	defer permit.End()
	if err := CheckName(want.Name); err != nil {
		return store.Token{}, "", err
	}
	var token store.Token
	var secret string
	err = permit.Audited(ctx, func(ctx context.Context, record audit.Record) (_ audit.Record, err error) {
		if token, secret, err = a.Tokens.Create(ctx, want); err != nil {
			return record, err
		}
		record.Details = map[string]string{"token": token.ID.String(), "name": token.Name, "role": token.Role}
		return record, nil
	})
	return token, secret, err
}

// RevokeToken ends a token for good. The error wraps store.ErrNotFound.
func (a *Accounts) RevokeToken(ctx context.Context, actor Actor, id wire.UUID) error {
	permit, err := a.Gate.Begin(ctx, actor, RevokeToken)
	if err != nil {
		return err
	}
	defer permit.End()
	return permit.Audited(ctx, func(ctx context.Context, record audit.Record) (audit.Record, error) {
		token, err := a.Store.TokenByID(ctx, id)
		if err != nil {
			return record, err
		}
		record.Details = map[string]string{"token": id.String(), "name": token.Name}
		return record, a.Store.RevokeToken(ctx, id)
	})
}
