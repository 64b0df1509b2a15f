package background

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/artifact"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
)

const (
	cleanEvery = time.Hour

	// artifactGrace is how long an artifact may lie unused: its registration
	// may be under way still.
	artifactGrace = 24 * time.Hour

	// tokenGrace is how long a token that ended is listed.
	tokenGrace = 90 * 24 * time.Hour
)

// Janitor deletes what nobody needs any more: uploads that were cut off, artifacts that
// no release refers to, tokens that ended long ago. It destroys the shares of instances
// that were deleted a day ago, and retires releases beyond those that images keep.
// Everything is safe to do on several replicas at once. All fields are needed.
type Janitor struct {
	Store     *store.Store
	Artifacts artifact.Store
	Now       func() time.Time
	Log       *slog.Logger
}

// Run cleans up at once and then every hour, until ctx ends. What fails is
// logged and tried again the next time.
func (j *Janitor) Run(ctx context.Context) {
	every(ctx, cleanEvery, j.Clean, func(err error) { j.Log.Error("clean up", "error", err) })
}

// Clean cleans up once. A failure keeps nothing else from being cleaned.
func (j *Janitor) Clean(ctx context.Context) error {
	uploads, sweepErr := j.Artifacts.Sweep(ctx)
	artifacts, dropErr := j.dropArtifacts(ctx)
	tokens, tokenErr := j.Store.DeleteDeadTokens(ctx, j.Now().Add(-tokenGrace))
	instances, instanceErr := j.Store.PurgeInstances(ctx)
	retired, retireErr := j.retire(ctx)
	if uploads+artifacts+int(tokens)+int(instances)+retired > 0 {
		j.Log.Info("cleaned up", "uploads", uploads, "artifacts", artifacts, "tokens", tokens, "instances destroyed", instances, "releases retired", retired)
	}
	return errors.Join(sweepErr, dropErr, tokenErr, instanceErr, retireErr)
}

// dropArtifacts deletes artifacts that no release refers to. The store sees to
// it that none is taken into use meanwhile.
func (j *Janitor) dropArtifacts(ctx context.Context) (dropped int, err error) {
	var old [][32]byte
	before := j.Now().Add(-artifactGrace)
	err = j.Artifacts.Walk(ctx, func(info artifact.Info) error {
		if info.StoredAt.Before(before) {
			old = append(old, info.SHA256)
		}
		return nil
	})
	for _, hash := range old {
		gone, dropErr := j.Store.DropArtifact(ctx, hash, func(ctx context.Context) error { return j.Artifacts.Delete(ctx, hash) })
		if gone {
			dropped++
		}
		err = errors.Join(err, dropErr)
	}
	return dropped, err
}
