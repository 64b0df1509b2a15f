package main

import (
	"context"
	"fmt"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/monitoring"
)

// checks are what readiness depends on. The age of the KDS cache is shown, but
// an old cache is no reason to take a service away: it serves known chips.
func (s *service) checks() []monitoring.Check {
	return []monitoring.Check{
		{Name: "database", Run: func(ctx context.Context) (string, error) {
			return string(s.store.Backend()), s.store.Ping(ctx)
		}},
		{Name: "keys", Run: func(ctx context.Context) (string, error) {
			_, found, err := s.store.Secret(ctx, "identity-key")
			if err == nil && !found {
				err = fmt.Errorf("the keys in the database are missing: restore a backup of it")
			}
			return "", err
		}},
		{Name: "kds_cache", Run: s.checkKDSCache},
	}
}

func (s *service) checkKDSCache(ctx context.Context) (string, error) {
	entries, err := s.cache.List(ctx)
	if err != nil {
		return "", err
	}
	var newest time.Time
	for _, e := range entries {
		if e.FetchedAt.After(newest) {
			newest = e.FetchedAt
		}
	}
	if newest.IsZero() {
		return "empty", nil
	}
	return fmt.Sprintf("%d entries, newest %s old", len(entries), time.Since(newest).Round(time.Second)), nil
}
