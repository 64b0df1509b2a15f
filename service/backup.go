package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/config"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
)

// backUp writes a copy of the database to a file, while a service may use it.
func backUp(ctx context.Context, cfg config.Config, path string) error {
	// Opening would make a database that is not there.
	if file, ok := strings.CutPrefix(cfg.Database, "sqlite:"); ok {
		if _, err := os.Stat(file); err != nil {
			return fmt.Errorf("back up database: %w", err)
		}
	}
	s, err := store.Open(ctx, cfg.Database, store.Options{})
	if err != nil {
		return err
	}
	return errors.Join(s.Backup(ctx, path), s.Close())
}
