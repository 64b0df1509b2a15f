package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/access"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/audit"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/config"
)

// reasonPasswordReset is what the audit log says of it.
const reasonPasswordReset = "password.reset"

// resetPassword makes a new master password, prints it and ends all sessions. It
// takes the database and the KEK: who has both needs no password. Services that
// run meanwhile take the new one at once.
func resetPassword(ctx context.Context, cfg config.Config, stdout io.Writer) (err error) {
	kek, s, err := openSealed(ctx, cfg)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	if err := kek.Fits(ctx, s); err != nil {
		return fmt.Errorf("%s: %w; nothing was changed", cfg.KEKFile, err)
	}
	if err := s.Authenticate(ctx, kek.RowKey()); err != nil {
		return err
	}
	password, change, err := access.NewPasswords(s, kek, access.DefaultParams(), time.Now).Reset(ctx)
	if err != nil {
		return fmt.Errorf("reset password: %w", err)
	}
	entry, err := s.Audited(ctx, func(ctx context.Context) (audit.Record, error) {
		return audit.Record{Outcome: audit.OutcomeDone, Reason: reasonPasswordReset, Actor: "command line"}, change.Apply(ctx)
	})
	if err != nil {
		return fmt.Errorf("reset password: %w", err)
	}
	_, err = fmt.Fprintf(stdout, "The new master password, shown this once (audit record %d):\n\n    %s\n\nAll sessions have ended; tokens stay valid.\n", entry.Seq, password)
	return err
}
