package background_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/background"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
)

// fakeStore counts, and fails the first time.
type fakeStore struct {
	seen, left int
	id         wire.UUID
}

func (s *fakeStore) SeeReplica(_ context.Context, r store.Replica) error {
	s.seen++
	s.id = r.ID
	if s.seen == 1 {
		return errors.New("the database is away")
	}
	return nil
}

func (s *fakeStore) LeaveReplica(ctx context.Context, id wire.UUID) error {
	if id == s.id && ctx.Err() == nil {
		s.left++
	}
	return nil
}

func TestPresence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s fakeStore
		var log strings.Builder
		heart := background.Presence{Store: &s, Replica: store.Replica{ID: wire.NewUUID()}, Log: slog.New(slog.NewTextHandler(&log, nil))}
		ctx, cancel := context.WithTimeout(t.Context(), 3*background.Beat+time.Second)
		defer cancel()
		heart.Run(ctx)
		if s.seen != 4 || s.left != 1 || strings.Count(log.String(), "the database is away") != 1 {
			t.Errorf("seen %d times, left %d times; log %s", s.seen, s.left, log.String())
		}
	})
}
