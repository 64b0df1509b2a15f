package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// Verification is what somebody says who has recomputed a release.
type Verification struct {
	id       wire.UUID
	Release  wire.UUID
	Content  [32]byte // see Release.ContentHash
	By       string   // party
	At       time.Time
	Agent    string // wire.AgentPublished or wire.AgentUnchecked
	Packages []byte // JSON: the hashes of the packages that it was made of
}

const verificationColumns = `id, release_id, content_sha256, verified_by, verified_at, agent, packages`

// Verifications are not part of the sum of rows: one that is put back is of the same
// content still, and one that is missing makes a release look worse than it is.
func (v *Verification) table() table {
	return table{name: "verifications", columns: verificationColumns}
}

func (v *Verification) values() []any {
	return []any{v.id[:], v.Release[:], v.Content[:], v.By, micros(v.At), v.Agent, notNull(v.Packages)}
}

func (s *Store) scanVerification(row scanner) (Verification, error) {
	var v Verification
	var mac []byte
	err := row.Scan(exactly(v.id[:]), exactly(v.Release[:]), exactly(v.Content[:]), &v.By, instant{&v.At}, &v.Agent, &v.Packages, &mac)
	if err == nil {
		err = s.genuine(&v, mac)
	}
	return v, err
}

// MaxVerifications is how many verifications one release has at most.
const MaxVerifications = 32

// VerifyRelease keeps that a party other than the proposer has recomputed a release,
// if its content still has the hash. To say it twice changes nothing. The error wraps ErrInvalid, ErrNotFound,
// ErrChanged or ErrOwnProposal.
func (s *Store) VerifyRelease(ctx context.Context, v Verification) error {
	if err := errors.Join(checkName("party", v.By), checkName("agent", v.Agent), checkAtMost("packages", v.Packages)); err != nil {
		return fmt.Errorf("verify release: %w", err)
	}
	err := s.inTx(ctx, func(ctx context.Context, q querier) error {
		release, err := s.lockRelease(ctx, q, v.Release)
		switch {
		case err != nil:
			return err
		case release.ProposedBy == v.By:
			return ErrOwnProposal
		case release.ContentHash() != v.Content:
			return ErrChanged
		}
		var count int64
		if err := q.QueryRowContext(ctx, `SELECT COUNT(*) FROM verifications WHERE release_id = $1`, v.Release[:]).Scan(&count); err != nil {
			return err
		}
		if count >= MaxVerifications {
			return invalidf("the release has %d verifications: no more are taken", count)
		}
		v.id, v.At = wire.NewUUID(), s.clock()
		_, err = s.insert(ctx, q, &v)
		return err
	})
	if err != nil {
		return fmt.Errorf("verify release: %w", err)
	}
	return nil
}

// Verifications returns who has recomputed a release as it is, the newest first.
func (s *Store) Verifications(ctx context.Context, r *Release) (all []Verification, err error) {
	err = s.view(ctx, func(ctx context.Context, q querier) error {
		all, err = s.listVerifications(ctx, q, r.ID, r.ContentHash())
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("verifications: %w", err)
	}
	return all, nil
}

func (s *Store) listVerifications(ctx context.Context, q querier, release wire.UUID, content [32]byte) ([]Verification, error) {
	return collect(ctx, q, query{
		`SELECT ` + verificationColumns + `, mac FROM verifications WHERE release_id = $1 AND content_sha256 = $2 ORDER BY verified_at DESC, id DESC`,
		[]any{release[:], content[:]},
	}, s.scanVerification)
}
