package store

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// Release is one measured set of artifacts of an image.
type Release struct {
	ID        wire.UUID // IMAGE_ID of its reports
	ImageID   wire.UUID // set by the store
	CreatedAt time.Time // set by the store

	// ProposedBy is the party that registered it, see access.Principal.Party: another
	// one must approve it.
	ProposedBy string

	Decision // set by the store

	// What is measured.
	Cmdline                  string
	Firmware, Kernel, Initrd ArtifactRef // Initrd is the zero value when there is none
	GuestPolicy              uint64
	GuestSVN                 uint32

	// Policy is a JSON document: what a report must meet beyond its measurement
	// and the image's policy; empty for nothing. PolicyRevision counts its changes
	// from 1.
	Policy         []byte
	PolicyRevision int64

	// Findings is a JSON document: what weakens the image, and who accepted it.
	Findings []byte

	// Provenance is a JSON document: where the registrant says that it comes from;
	// empty for nothing.
	Provenance []byte

	VariantsHash [32]byte // over Variants; set by the store

	// Variants are in order; the first is the default. Lists leave them out.
	Variants []Variant
}

func (r *Release) table() table {
	return table{name: "releases", columns: releaseColumns, summed: true}
}

func (r *Release) values() []any {
	return append([]any{
		r.ID[:], r.ImageID[:], string(r.State), r.ProposedBy, micros(r.ApprovedAt), r.ApprovedBy, r.VerifiedBy,
		micros(r.DecidedAt), r.DecidedBy, r.Reason, micros(r.CreatedAt),
	}, r.content()...)
}

// content is the values of what is approved.
func (r *Release) content() []any {
	return []any{
		r.Cmdline, r.Firmware.SHA256[:], r.Firmware.Size, r.Kernel.SHA256[:], r.Kernel.Size, r.Initrd.hash(), r.Initrd.Size,
		int64(r.GuestPolicy), int64(r.GuestSVN), notNull(r.Policy), r.PolicyRevision, r.Findings, notNull(r.Provenance), r.VariantsHash[:],
	}
}

// notNull returns bytes for a column that is never NULL.
func notNull(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// ContentHash is the SHA-256 over what is approved of a release: its image and ID,
// all that is measured, its variants, its policy, its findings and its provenance.
func (r *Release) ContentHash() [32]byte {
	h := sha256.New()
	hashValues(h, "snpguard/v1/release-content", r.ImageID[:], r.ID[:])
	hashValues(h, r.content()...)
	return [32]byte(h.Sum(nil))
}

// The error wraps ErrInvalid.
func (r *Release) validate() error {
	if r.ID.IsZero() {
		return invalidf("release has no ID")
	}
	for name, artifact := range map[string]ArtifactRef{"firmware": r.Firmware, "kernel": r.Kernel, "initrd": r.Initrd} {
		optional := name == "initrd" && artifact.none()
		if artifact.SHA256 == [32]byte{} && !optional || artifact.Size < 0 {
			return invalidf("release has no %s", name)
		}
	}
	return errors.Join(
		checkText("command line", r.Cmdline, maxCmdline),
		checkAtMost("policy", r.Policy),
		checkBytes("findings", r.Findings),
		checkAtMost("provenance", r.Provenance),
		checkName("proposer", r.ProposedBy),
		checkVariants(r.Variants),
	)
}

// AddRelease proposes a release of an image and returns it as it is kept: it unlocks
// nothing until ApproveRelease. The error is a *DecidedError, or wraps ErrInvalid,
// ErrNotFound (the image), ErrExists (the ID) or ErrArtifactGone.
func (s *Store) AddRelease(ctx context.Context, image wire.UUID, release Release, present Present) (Release, error) {
	if err := release.validate(); err != nil {
		return Release{}, fmt.Errorf("add release: %w", err)
	}
	release.Decision = Decision{State: wire.StateProposed}
	err := s.inTx(ctx, func(ctx context.Context, q querier) error {
		if _, err := s.lockImage(ctx, q, image); err != nil {
			return err
		}
		if err := s.checkDecided(ctx, q, image, &release); err != nil {
			return err
		}
		var err error
		release, err = s.addRelease(ctx, q, image, release, present)
		return err
	})
	if err != nil {
		return Release{}, fmt.Errorf("add release: %w", err)
	}
	return release, nil
}

// addRelease needs a lock on the image, or to have made it.
func (s *Store) addRelease(ctx context.Context, q querier, image wire.UUID, r Release, present Present) (Release, error) {
	var count, proposed int64
	if err := q.QueryRowContext(ctx, `SELECT COUNT(*), COALESCE(SUM(CASE WHEN state = $1 THEN 1 ELSE 0 END), 0)
		FROM releases WHERE image_id = $2`, string(wire.StateProposed), image[:]).Scan(&count, &proposed); err != nil {
		return Release{}, err
	}
	// Whoever may only propose leaves room for those who decide.
	if count >= MaxReleases || proposed >= MaxProposed {
		return Release{}, invalidf("image has %d releases, %d of them proposed: no more are taken", count, proposed)
	}
	if err := takeArtifacts(ctx, q, artifactUse{s.clock(), present}, r.artifacts()); err != nil {
		return Release{}, err
	}
	r.ImageID, r.CreatedAt, r.PolicyRevision = image, s.clock(), 1
	r.Policy, r.Provenance, r.Variants = notNull(r.Policy), notNull(r.Provenance), numbered(r.Variants)
	r.VariantsHash = hashVariants(r.Variants)
	inserted, err := s.insert(ctx, q, &r)
	if err == nil && !inserted {
		err = ErrExists
	}
	if err != nil {
		return Release{}, err
	}
	return r, insertVariants(ctx, q, r.ID, r.Variants)
}

// artifacts returns those that there are.
func (r *Release) artifacts() []ArtifactRef {
	if r.Initrd.none() {
		return []ArtifactRef{r.Firmware, r.Kernel}
	}
	return []ArtifactRef{r.Firmware, r.Kernel, r.Initrd}
}

// releaseColumns are what the MAC of a release covers.
const releaseColumns = `id, image_id, state, proposed_by, approved_at, approved_by, verified_by, decided_at, decided_by, reason, created_at,
	cmdline, firmware_sha256, firmware_size, kernel_sha256, kernel_size, initrd_sha256, initrd_size, guest_policy, guest_svn,
	policy, policy_revision, findings, provenance, variants_hash`

// bits scans a BIGINT into an unsigned number.
type bits struct{ number *uint64 }

// Scan implements sql.Scanner. The error wraps ErrCorrupt.
func (b bits) Scan(src any) error {
	n, ok := src.(int64)
	if !ok {
		return fmt.Errorf("%w: column has %T, want a number", ErrCorrupt, src)
	}
	*b.number = uint64(n)
	return nil
}

func (r *Release) fields() []any {
	return []any{
		exactly(r.ID[:]), exactly(r.ImageID[:]), (*string)(&r.State), &r.ProposedBy, instant{&r.ApprovedAt}, &r.ApprovedBy, &r.VerifiedBy,
		instant{&r.DecidedAt}, &r.DecidedBy, &r.Reason, instant{&r.CreatedAt}, &r.Cmdline,
		exactly(r.Firmware.SHA256[:]), &r.Firmware.Size, exactly(r.Kernel.SHA256[:]), &r.Kernel.Size,
		maybe(r.Initrd.SHA256[:]), &r.Initrd.Size,
		bits{&r.GuestPolicy}, &r.GuestSVN, &r.Policy, &r.PolicyRevision, &r.Findings, &r.Provenance, exactly(r.VariantsHash[:]),
	}
}

// scanRelease reads releaseColumns and the MAC, and checks it.
func (s *Store) scanRelease(row scanner) (Release, error) {
	var r Release
	var mac []byte
	err := row.Scan(append(r.fields(), &mac)...)
	if err == nil {
		err = s.genuine(&r, mac)
	}
	return r, err
}

// ReleaseByID returns a release with its variants. The error wraps ErrNotFound.
func (s *Store) ReleaseByID(ctx context.Context, id wire.UUID) (Release, error) {
	var release Release
	err := s.view(ctx, func(ctx context.Context, q querier) error {
		found, err := collect(ctx, q, query{`SELECT ` + releaseColumns + `, mac FROM releases WHERE id = $1`, []any{id[:]}}, s.scanRelease)
		if err != nil {
			return err
		}
		if len(found) == 0 {
			return ErrNotFound
		}
		release = found[0]
		if release.Variants, err = loadVariants(ctx, q, id); err != nil {
			return err
		}
		return release.checkVariants()
	})
	if err != nil {
		return Release{}, fmt.Errorf("release: %w", err)
	}
	return release, nil
}

// ListReleases returns all releases of an image, newest first, without their
// variants; MaxReleases at most.
func (s *Store) ListReleases(ctx context.Context, image wire.UUID) ([]Release, error) {
	var releases []Release
	err := s.view(ctx, func(ctx context.Context, q querier) (err error) {
		releases, err = collect(ctx, q, query{
			`SELECT ` + releaseColumns + `, mac FROM releases WHERE image_id = $1 ORDER BY created_at DESC, id DESC`, []any{image[:]},
		}, s.scanRelease)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list releases: %w", err)
	}
	return releases, nil
}
