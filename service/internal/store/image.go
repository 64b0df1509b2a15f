package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/wire"
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
	)
}

// CreateImage registers an image with its first release, all or nothing, and
// returns both as they are kept. The error wraps ErrInvalid, ErrNameTaken,
// ErrExists (the ID or the keys are another image's) or ErrArtifactGone.
func (s *Store) CreateImage(ctx context.Context, image Image, release Release, present Present) (Image, Release, error) {
	if err := errors.Join(image.validate(), release.validate()); err != nil {
		return Image{}, Release{}, fmt.Errorf("create image: %w", err)
	}
	image.CreatedAt = s.clock()
	err := s.inTx(ctx, func(ctx context.Context, q querier) error {
		if err := insertImage(ctx, q, &image); err != nil {
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

func insertImage(ctx context.Context, q querier, i *Image) error {
	done, err := q.ExecContext(ctx, `INSERT INTO images
		(id, name, name_folded, enabled, simulated, created_at, id_key_digest, author_key_digest, id_key_sealed, author_key_sealed)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT DO NOTHING`,
		i.ID[:], i.Name, strings.ToLower(i.Name), i.Enabled, i.Simulated, micros(i.CreatedAt),
		i.IDKeyDigest[:], i.AuthorKeyDigest[:], i.IDKeySealed, i.AuthorKeySealed)
	if err != nil {
		return err
	}
	switch n, err := done.RowsAffected(); {
	case err != nil:
		return err
	case n == 0:
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

// imageColumns are what scanImage reads.
const imageColumns = `id, name, enabled, simulated, created_at, id_key_digest, author_key_digest, id_key_sealed, author_key_sealed`

func (i *Image) fields() []any {
	return []any{
		exactly(i.ID[:]), &i.Name, &i.Enabled, &i.Simulated, instant{&i.CreatedAt},
		exactly(i.IDKeyDigest[:]), exactly(i.AuthorKeyDigest[:]), &i.IDKeySealed, &i.AuthorKeySealed,
	}
}

func scanImage(row scanner) (Image, error) {
	var i Image
	err := row.Scan(i.fields()...)
	return i, err
}

// ImageByID returns an image. The error wraps ErrNotFound.
func (s *Store) ImageByID(ctx context.Context, id wire.UUID) (Image, error) {
	return s.image(ctx, query{`SELECT ` + imageColumns + ` FROM images WHERE id = $1`, []any{id[:]}})
}

// ImageByName returns an image. The error wraps ErrNotFound.
func (s *Store) ImageByName(ctx context.Context, name string) (Image, error) {
	if checkText("name", name, MaxName) != nil {
		return Image{}, fmt.Errorf("image: %w", ErrNotFound)
	}
	return s.image(ctx, query{`SELECT ` + imageColumns + ` FROM images WHERE name = $1`, []any{name}})
}

func (s *Store) image(ctx context.Context, ask query) (Image, error) {
	var image Image
	err := s.view(ctx, func(ctx context.Context, q querier) error {
		found, err := collect(ctx, q, ask, scanImage)
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
