package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// Image is a stable identity, told by its ID and author keys (P-384).
type Image struct {
	ID        wire.UUID // FAMILY_ID of its reports
	Name      string    // unique
	Labels    map[string]string
	Enabled   bool
	Simulated bool      // a simulated AMD root was trusted when it was registered
	CreatedAt time.Time // set by CreateImage

	IDKeyDigest     [48]byte // SHA-384 of the public key, as in a report
	AuthorKeyDigest [48]byte

	// The private keys, sealed under the key-encryption key.
	IDKeySealed, AuthorKeySealed []byte

	// UnsealingKeySealed is the private key that opens sealed VMKs, sealed to the
	// service's ingestion key; UnsealingKeyHash tells it from those of other images.
	UnsealingKeySealed []byte
	UnsealingKeyHash   [32]byte

	// Policy is a JSON document: what every report must meet beyond its
	// measurement. PolicyRevision counts its changes from 1.
	Policy         []byte
	PolicyRevision int64

	LaunchLimit LaunchLimit

	// KeepReleases is how many approved releases that have been launched stay when
	// older ones retire by themselves; 0 keeps all.
	KeepReleases int64

	// Instances says whether copies of its disk become VMs with keys of their own. The
	// zero value is taken by CreateImage alone, for none of them.
	Instances wire.InstanceSettings
}

// LaunchLimit bounds how many launches of an image are given their key within a
// period. The zero value does not.
type LaunchLimit struct {
	Max    int64
	Period time.Duration // whole seconds
}

// None reports whether there is no limit.
func (l LaunchLimit) None() bool { return l == LaunchLimit{} }

// The error wraps ErrInvalid.
func (l LaunchLimit) validate() error {
	if !l.None() && (l.Max < 1 || l.Period < time.Second || l.Period%time.Second != 0) {
		return invalidf("launch limit: %d in %s, want at least 1 in whole seconds", l.Max, l.Period)
	}
	return nil
}

func (i *Image) table() table { return table{name: "images", columns: imageColumns, summed: true} }

func (i *Image) values() []any {
	return []any{
		i.ID[:], i.Name, strings.ToLower(i.Name), i.Enabled, i.Simulated, micros(i.CreatedAt),
		i.IDKeyDigest[:], i.AuthorKeyDigest[:], i.IDKeySealed, i.AuthorKeySealed,
		i.UnsealingKeySealed, i.UnsealingKeyHash[:], i.Policy, i.PolicyRevision,
		i.LaunchLimit.Max, int64(i.LaunchLimit.Period / time.Second), i.KeepReleases,
		string(i.Instances.Mode), i.Instances.Limit, string(i.Instances.Generation),
	}
}

// The error wraps ErrInvalid.
func (i *Image) validate() error {
	if i.ID.IsZero() {
		return invalidf("image has no ID")
	}
	return errors.Join(
		checkName("name", i.Name),
		checkLabels(i.Labels),
		checkBytes("sealed ID key", i.IDKeySealed),
		checkBytes("sealed author key", i.AuthorKeySealed),
		checkBytes("sealed unsealing key", i.UnsealingKeySealed),
		checkBytes("policy", i.Policy),
		i.LaunchLimit.validate(),
		checkKeep(i.KeepReleases),
		checkSettings(i.Instances),
	)
}

// CreateImage registers an image with its first release, all or nothing, and
// returns both as they are kept. The error wraps ErrInvalid, ErrNameTaken,
// ErrExists (the ID or a key is another image's), ErrDeleted (they were a deleted
// image's) or ErrArtifactGone.
func (s *Store) CreateImage(ctx context.Context, image Image, release Release, present Present) (Image, Release, error) {
	if image.Instances == (wire.InstanceSettings{}) {
		image.Instances = wire.InstanceSettings{Mode: wire.InstancesNone, Generation: wire.GenerationReport}
	}
	if err := errors.Join(image.validate(), release.validate()); err != nil {
		return Image{}, Release{}, fmt.Errorf("create image: %w", err)
	}
	image.CreatedAt, image.PolicyRevision = s.clock(), 1
	// Whoever makes an image decides what it is.
	release.Decision = Decision{State: wire.StateApproved, ApprovedAt: image.CreatedAt, ApprovedBy: release.ProposedBy}
	err := s.inTx(ctx, func(ctx context.Context, q querier) error {
		if err := s.insertImage(ctx, q, &image); err != nil {
			return err
		}
		var err error
		release, err = s.addRelease(ctx, q, image.ID, release, present)
		return err
	})
	if err != nil {
		return Image{}, Release{}, fmt.Errorf("create image: %w", err)
	}
	return image, release, nil
}

func (s *Store) insertImage(ctx context.Context, q querier, i *Image) error {
	if err := s.checkTombstones(ctx, q, i.ID, i.UnsealingKeyHash); err != nil {
		return err
	}
	inserted, err := s.insert(ctx, q, i)
	switch {
	case err != nil:
		return err
	case !inserted:
		return whyNotInserted(ctx, q, i.Name)
	}
	return insertLabels(ctx, q, i.ID, i.Labels)
}

func whyNotInserted(ctx context.Context, q querier, name string) error {
	var taken int64
	if err := q.QueryRowContext(ctx, `SELECT COUNT(*) FROM images WHERE name = $1`, name).Scan(&taken); err != nil {
		return err
	}
	if taken > 0 {
		return ErrNameTaken
	}
	return ErrExists
}

// imageColumns are what the MAC of an image covers.
const imageColumns = `id, name, name_folded, enabled, simulated, created_at, id_key_digest, author_key_digest, id_key_sealed, author_key_sealed,
	unsealing_key_sealed, unsealing_key_hash, policy, policy_revision, max_launches, launch_period, keep_releases,
	instances_mode, instances_limit, generation_mode`

func (i *Image) fields() []any {
	return []any{
		exactly(i.ID[:]), &i.Name, new(string), &i.Enabled, &i.Simulated, instant{&i.CreatedAt},
		exactly(i.IDKeyDigest[:]), exactly(i.AuthorKeyDigest[:]), &i.IDKeySealed, &i.AuthorKeySealed,
		&i.UnsealingKeySealed, exactly(i.UnsealingKeyHash[:]), &i.Policy, &i.PolicyRevision,
		&i.LaunchLimit.Max, seconds{&i.LaunchLimit.Period}, &i.KeepReleases,
		(*string)(&i.Instances.Mode), &i.Instances.Limit, (*string)(&i.Instances.Generation),
	}
}

// scanImage reads imageColumns and the MAC, and checks it.
func (s *Store) scanImage(row scanner) (Image, error) {
	var i Image
	var mac []byte
	err := row.Scan(append(i.fields(), &mac)...)
	if err == nil {
		err = s.genuine(&i, mac)
	}
	return i, err
}

// ImageByID returns an image. The error wraps ErrNotFound.
func (s *Store) ImageByID(ctx context.Context, id wire.UUID) (Image, error) {
	return s.image(ctx, query{`SELECT ` + imageColumns + `, mac FROM images WHERE id = $1`, []any{id[:]}})
}

// ImageByName returns an image. The error wraps ErrNotFound.
func (s *Store) ImageByName(ctx context.Context, name string) (Image, error) {
	if checkText("name", name, MaxName) != nil {
		return Image{}, fmt.Errorf("image: %w", ErrNotFound)
	}
	return s.image(ctx, query{`SELECT ` + imageColumns + `, mac FROM images WHERE name = $1`, []any{name}})
}

func (s *Store) image(ctx context.Context, ask query) (Image, error) {
	var image Image
	err := s.view(ctx, func(ctx context.Context, q querier) error {
		found, err := collect(ctx, q, ask, s.scanImage)
		if err != nil {
			return err
		}
		if len(found) == 0 {
			return ErrNotFound
		}
		if err := loadLabels(ctx, q, found); err != nil {
			return err
		}
		image = found[0]
		return nil
	})
	if err != nil {
		return Image{}, fmt.Errorf("image: %w", err)
	}
	return image, nil
}
