package background

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

// Replicas keeps the replicas; *store.Store does.
type Replicas interface {
	SeeReplica(ctx context.Context, r store.Replica) error
	LeaveReplica(ctx context.Context, id wire.UUID) error
}

// Presence notes in the database that a replica runs, for the operator to see. All fields
// are needed.
type Presence struct {
	Store   Replicas
	Replica store.Replica // all but SeenAt
	Log     *slog.Logger
}

// Run notes at once and then ever again that the replica runs, until ctx ends; then
// it forgets the replica. What fails is logged and tried again the next time.
func (p *Presence) Run(ctx context.Context) {
	every(ctx, Beat, func(ctx context.Context) error {
		return p.Store.SeeReplica(ctx, p.Replica)
	}, func(err error) { p.Log.Error("note that the replica runs", "error", err) })
	p.leave(ctx)
}

func (p *Presence) leave(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaveTime)
	defer cancel()
	if err := p.Store.LeaveReplica(ctx, p.Replica.ID); err != nil {
		p.Log.Warn("note that the replica ends", "error", err)
	}
}
