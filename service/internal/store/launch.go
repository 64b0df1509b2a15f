package store

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// ErrNoImage and ErrNoRelease say what FindLaunch did not find. Both wrap
// ErrNotFound.
var (
	ErrNoImage   = fmt.Errorf("no image has these keys: %w", ErrNotFound)
	ErrNoRelease = fmt.Errorf("image has no such release: %w", ErrNotFound)
)

// Launch is what a report has to be held against.
type Launch struct {
	Image   Image   // without its labels
	Release Release // its variants without ID block and authentication information
	Seen    Seen
}

// Seen tells rows as they were read from what becomes of them: the MACs of an image
// and of a release. Any change of either gives another one.
type Seen struct{ image, release [sha256.Size]byte }

// FindLaunch returns the image that has the keys of a report, and the release
// that the report names, in one round trip; whether they are enabled is the
// caller's to check. The error wraps ErrNoImage, ErrNoRelease or ErrTampered; with
// ErrNoRelease Launch.Image is the image all the same.
func (s *Store) FindLaunch(ctx context.Context, idKeyDigest, authorKeyDigest [48]byte, release wire.UUID) (Launch, error) {
	var launch Launch
	err := s.view(ctx, func(ctx context.Context, q querier) error {
		found, err := collect(ctx, q, query{
			`SELECT ` + of("images", imageColumns+", mac") + `, ` + of("releases", releaseColumns+", mac") + `,
				variants.position, variants.vcpus, variants.vcpu_type, variants.signature, variants.measurement
			FROM images JOIN releases ON releases.image_id = images.id JOIN variants ON variants.release_id = releases.id
			WHERE images.id_key_digest = $1 AND images.author_key_digest = $2 AND releases.id = $3 ORDER BY variants.position`,
			[]any{idKeyDigest[:], authorKeyDigest[:], release[:]},
		}, scanLaunch)
		if err != nil {
			return err
		}
		if len(found) == 0 {
			launch.Image, err = s.missedLaunch(ctx, q, idKeyDigest, authorKeyDigest)
			return err
		}
		launch = found[0]
		for _, more := range found[1:] {
			launch.Release.Variants = append(launch.Release.Variants, more.Release.Variants...)
		}
		return errors.Join(
			s.genuine(&launch.Image, launch.Seen.image[:]),
			s.genuine(&launch.Release, launch.Seen.release[:]),
			launch.Release.checkVariants(),
		)
	})
	if err != nil {
		return launch, fmt.Errorf("find launch: %w", err)
	}
	return launch, nil
}

// scanLaunch reads a launch with one variant. Nothing is checked yet.
func scanLaunch(row scanner) (Launch, error) {
	var l Launch
	var v Variant
	fields := append(append(l.Image.fields(), exactly(l.Seen.image[:])), append(l.Release.fields(), exactly(l.Seen.release[:]))...)
	err := row.Scan(append(fields, &v.Position, &v.VCPUs, &v.VCPUType, &v.Signature, exactly(v.Measurement[:]))...)
	l.Release.Variants = []Variant{v}
	return l, err
}

// missedLaunch returns ErrNoRelease and the image, or ErrNoImage.
func (s *Store) missedLaunch(ctx context.Context, q querier, idKeyDigest, authorKeyDigest [48]byte) (Image, error) {
	found, err := collect(ctx, q, query{
		`SELECT ` + imageColumns + `, mac FROM images WHERE id_key_digest = $1 AND author_key_digest = $2`,
		[]any{idKeyDigest[:], authorKeyDigest[:]},
	}, s.scanImage)
	switch {
	case err != nil:
		return Image{}, err
	case len(found) == 0:
		return Image{}, ErrNoImage
	}
	return found[0], ErrNoRelease
}

// of puts the name of the table before each column.
func of(table, columns string) string {
	return table + "." + strings.Join(strings.Fields(columns), " "+table+".")
}
