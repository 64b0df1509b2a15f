package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// ArtifactRef names an uploaded file by its content.
type ArtifactRef struct {
	SHA256 [32]byte
	Size   int64 // bytes
}

// none reports whether a names nothing.
func (a ArtifactRef) none() bool { return a == ArtifactRef{} }

// hash returns the hash as a column has it, NULL for none.
func (a ArtifactRef) hash() []byte {
	if a.none() {
		return nil
	}
	return a.SHA256[:]
}

// Present reports whether an artifact is stored. It is called in a transaction
// that keeps DropArtifact from deleting it: what is there then, stays.
type Present func(ctx context.Context, artifact ArtifactRef) (bool, error)

// artifactUse is how artifacts are taken into use.
type artifactUse struct {
	at      time.Time
	present Present
}

// takeArtifacts locks artifacts for use by a release. The error wraps
// ErrArtifactGone.
func takeArtifacts(ctx context.Context, q querier, use artifactUse, artifacts []ArtifactRef) error {
	if use.present == nil {
		return errors.New("there is no check whether artifacts are present")
	}
	// In order of their hashes: two releases of the same files do not deadlock.
	slices.SortFunc(artifacts, func(a, b ArtifactRef) int { return bytes.Compare(a.SHA256[:], b.SHA256[:]) })
	for _, a := range slices.CompactFunc(artifacts, func(a, b ArtifactRef) bool { return a == b }) {
		if err := lockArtifact(ctx, q, a.SHA256, use.at); err != nil {
			return err
		}
		there, err := use.present(ctx, a)
		if err != nil {
			return fmt.Errorf("look for artifact %x: %w", a.SHA256, err)
		}
		if !there {
			return fmt.Errorf("%w: %x", ErrArtifactGone, a.SHA256)
		}
	}
	return nil
}

// lockArtifact keeps others from taking an artifact into use or out of it until
// the transaction ends.
func lockArtifact(ctx context.Context, q querier, hash [32]byte, at time.Time) error {
	_, err := q.ExecContext(ctx, `INSERT INTO artifacts (sha256, used_at) VALUES ($1, $2)
		ON CONFLICT (sha256) DO UPDATE SET used_at = excluded.used_at`, hash[:], micros(at))
	return err
}

// unused returns those of the artifacts that no release refers to.
func unused(ctx context.Context, q querier, hashes [][32]byte) ([][32]byte, error) {
	var free [][32]byte
	for _, hash := range hashes {
		var uses int64
		if err := q.QueryRowContext(ctx, `SELECT COUNT(*) FROM releases
			WHERE firmware_sha256 = $1 OR kernel_sha256 = $1 OR initrd_sha256 = $1`, hash[:]).Scan(&uses); err != nil {
			return nil, err
		}
		if uses == 0 {
			free = append(free, hash)
		}
	}
	return free, nil
}

// DropArtifact calls remove to delete an artifact that no release refers to, and
// reports whether it did. Remove is called in a transaction, so that no release
// takes the artifact up meanwhile; it may be called again when that failed.
func (s *Store) DropArtifact(ctx context.Context, hash [32]byte, remove func(ctx context.Context) error) (bool, error) {
	// Most artifacts are in use, which is cheap to see without a lock.
	var free [][32]byte
	err := s.view(ctx, func(ctx context.Context, q querier) (err error) {
		free, err = unused(ctx, q, [][32]byte{hash})
		return err
	})
	switch {
	case err != nil:
		return false, fmt.Errorf("drop artifact %x: %w", hash, err)
	case len(free) == 0:
		return false, nil
	}
	return s.dropUnused(ctx, hash, remove)
}

// dropUnused looks again, with a lock on the artifact.
func (s *Store) dropUnused(ctx context.Context, hash [32]byte, remove func(ctx context.Context) error) (bool, error) {
	dropped := false
	err := s.inTx(ctx, func(ctx context.Context, q querier) error {
		dropped = false
		if err := lockArtifact(ctx, q, hash, s.clock()); err != nil {
			return err
		}
		free, err := unused(ctx, q, [][32]byte{hash})
		if err != nil || len(free) == 0 {
			return err
		}
		if err := remove(ctx); err != nil {
			return err
		}
		dropped = true
		_, err = q.ExecContext(ctx, `DELETE FROM artifacts WHERE sha256 = $1`, hash[:])
		return err
	})
	if err != nil {
		return false, fmt.Errorf("drop artifact %x: %w", hash, err)
	}
	return dropped, nil
}

// UnusedArtifacts returns artifacts that no release refers to any more since
// before the given time, at most limit: what a process left that died between
// deleting an image and its files.
func (s *Store) UnusedArtifacts(ctx context.Context, before time.Time, limit int) ([][32]byte, error) {
	var hashes [][32]byte
	err := s.view(ctx, func(ctx context.Context, q querier) (err error) {
		hashes, err = collect(ctx, q, query{`SELECT sha256 FROM artifacts a WHERE used_at < $1 AND NOT EXISTS (SELECT 1 FROM releases
			WHERE firmware_sha256 = a.sha256 OR kernel_sha256 = a.sha256 OR initrd_sha256 = a.sha256) LIMIT $2`,
			[]any{micros(before), limit}}, scanHash)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list unused artifacts: %w", err)
	}
	return hashes, nil
}

func scanHash(row scanner) ([32]byte, error) {
	var hash [32]byte
	err := row.Scan(exactly(hash[:]))
	return hash, err
}
