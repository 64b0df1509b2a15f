// Package replica lets the replicas of a service know of each other, for the
// operator to see: each notes in the database that it runs.
package replica

import (
	"context"
	"log/slog"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
)

// Beat is how often a replica notes that it runs.
const Beat = 30 * time.Second

// leaveTime bounds how long a replica that ends takes to say so.
const leaveTime = 5 * time.Second

// Store keeps the replicas; *store.Store is one.
type Store interface {
	SeeReplica(ctx context.Context, r store.Replica) error
	LeaveReplica(ctx context.Context, id wire.UUID) error
}

// Heart beats for a replica. All fields are needed.
type Heart struct {
	Store   Store
	Replica store.Replica // all but SeenAt
	Log     *slog.Logger
}

// Run notes at once and then ever again that the replica runs, until ctx ends; then
// it forgets the replica. What fails is logged and tried again the next time.
func (h *Heart) Run(ctx context.Context) {
	for {
		if err := h.Store.SeeReplica(ctx, h.Replica); err != nil && ctx.Err() == nil {
			h.Log.Error("note that the replica runs", "error", err)
		}
		select {
		case <-time.After(Beat):
		case <-ctx.Done():
			h.leave(ctx)
			return
		}
	}
}

func (h *Heart) leave(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaveTime)
	defer cancel()
	if err := h.Store.LeaveReplica(ctx, h.Replica.ID); err != nil {
		h.Log.Warn("note that the replica ends", "error", err)
	}
}
