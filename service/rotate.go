package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/access"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/audit"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/config"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/keyring"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
)

// reasonRotated is what the audit log says of it.
const reasonRotated = "kek.rotated"

// rotateKEK seals all keys under the KEK in a file, which is made unless it is
// there. Services that run meanwhile go on with the keys that they have opened,
// and seal nothing more until they are restarted.
func rotateKEK(ctx context.Context, cfg config.Config, path string, stdout io.Writer) (err error) {
	from, s, err := openSealed(ctx, cfg)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	to, err := nextKEK(ctx, s, from, path)
	if err != nil {
		return err
	}
	if from.Fits(ctx, s) == nil { // otherwise nothing is changed, and the check says why
		if err := s.Authenticate(ctx, from.RowKey()); err != nil {
			return err
		}
	}
	done, entry, err := reseal(ctx, s, keyring.Rotation{From: from, To: to})
	switch {
	case errors.Is(err, keyring.ErrRotated):
		fmt.Fprintf(stdout, "All keys are already sealed under %s.\n", path)
	case errors.Is(err, keyring.ErrWrongKEK):
		return fmt.Errorf("%s: %w; nothing was changed", cfg.KEKFile, err)
	case err != nil:
		return err
	default:
		fmt.Fprintf(stdout, "Sealed %d keys and secrets, the keys of %d images and the shares of %d instances under %s (audit record %d).\n",
			done.Secrets, done.Images, done.Instances, path, entry.Seq)
	}
	fmt.Fprintf(stdout, "Put it in place of %s, or name it with --kek-file, and restart every replica.\n", cfg.KEKFile)
	return nil
}

// openSealed opens a database that is there, and the KEK of it.
func openSealed(ctx context.Context, cfg config.Config) (*keyring.KEK, *store.Store, error) {
	// Opening would make a database that is not there.
	if file, ok := strings.CutPrefix(cfg.Database, "sqlite:"); ok {
		if _, err := os.Stat(file); err != nil {
			return nil, nil, fmt.Errorf("open database: %w", err)
		}
	}
	kek, err := keyring.LoadKEK(cfg.KEKFile, false)
	if err != nil {
		return nil, nil, err
	}
	s, err := store.Open(ctx, cfg.Database, store.Options{})
	return kek, s, err
}

// nextKEK reads the new KEK, or makes it when the old one fits: it is on the disk
// before anything is sealed under it.
func nextKEK(ctx context.Context, s *store.Store, from *keyring.KEK, path string) (*keyring.KEK, error) {
	to, err := keyring.LoadKEK(path, false)
	if !errors.Is(err, fs.ErrNotExist) {
		return to, err
	}
	if err := from.Fits(ctx, s); err != nil {
		return nil, err
	}
	return keyring.LoadKEK(path, true)
}

// reseal does it, and records it, in one transaction.
func reseal(ctx context.Context, s *store.Store, r keyring.Rotation) (done store.Resealed, entry audit.Entry, err error) {
	entry, err = s.Audited(ctx, func(ctx context.Context) (audit.Record, error) {
		if err := r.Check(ctx, s, access.SecretPassword); err != nil {
			return audit.Record{}, err
		}
		var err error
		done, err = s.Reseal(ctx, r)
		return audit.Record{Outcome: audit.OutcomeDone, Reason: reasonRotated, Actor: "command line", Details: map[string]string{
			"secrets": fmt.Sprint(done.Secrets), "images": fmt.Sprint(done.Images), "instances": fmt.Sprint(done.Instances),
		}}, err
	})
	return done, entry, err
}
