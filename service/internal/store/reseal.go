package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/wire"
)

// LockSecret returns a sealed secret and, in the transaction of ctx, keeps others
// from resealing until that ends. The error wraps ErrNotFound.
func (s *Store) LockSecret(ctx context.Context, name string) (sealed []byte, err error) {
	err = s.inTx(ctx, func(ctx context.Context, q querier) error {
		err := q.QueryRowContext(ctx, `UPDATE secrets SET name = name WHERE name = $1 RETURNING sealed`, storable(name)).Scan(&sealed)
		if errors.Is(err, sql.ErrNoRows) {
			return ErrNotFound
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("lock secret %s: %w", name, err)
	}
	return sealed, nil
}

// Resealer seals anew what is sealed under one key-encryption key.
type Resealer interface {
	Secret(name string, sealed []byte) ([]byte, error)
	ImageKeys(image wire.UUID, id, author []byte) (newID, newAuthor []byte, err error)
}

// Resealed counts what Reseal sealed anew.
type Resealed struct{ Secrets, Images int }

// resealPage is how many images are in memory at a time.
const resealPage = 500

// Reseal seals all secrets and all keys of images anew, or none. Whoever holds
// LockSecret when it begins is waited for, and comes next otherwise. The error
// is the resealer's, or wraps ErrInvalid.
func (s *Store) Reseal(ctx context.Context, r Resealer) (done Resealed, err error) {
	err = s.inTx(ctx, func(ctx context.Context, q querier) error {
		done = Resealed{}
		// The secrets come first, since LockSecret locks them before an image is
		// added: what was added is seen below.
		if err := resealSecrets(ctx, q, r, &done); err != nil {
			return err
		}
		return resealImages(ctx, q, r, &done)
	})
	if err != nil {
		return Resealed{}, fmt.Errorf("reseal: %w", err)
	}
	return done, nil
}

// sealedSecret is a row of the table secrets.
type sealedSecret struct {
	name   string
	sealed []byte
}

func resealSecrets(ctx context.Context, q querier, r Resealer, done *Resealed) error {
	secrets, err := collect(ctx, q, query{text: `UPDATE secrets SET name = name RETURNING name, sealed`}, func(row scanner) (s sealedSecret, err error) {
		err = row.Scan(&s.name, &s.sealed)
		return s, err
	})
	if err != nil {
		return err
	}
	for _, secret := range secrets {
		sealed, err := r.Secret(secret.name, secret.sealed)
		if err == nil {
			err = checkBytes("secret", sealed)
		}
		if err != nil {
			return err
		}
		if err := affectOne(ctx, q, query{`UPDATE secrets SET sealed = $1 WHERE name = $2`, []any{sealed, secret.name}}); err != nil {
			return err
		}
		done.Secrets++
	}
	return nil
}

// sealedKeys are the keys of an image.
type sealedKeys struct {
	image      wire.UUID
	id, author []byte
}

func scanSealedKeys(row scanner) (k sealedKeys, err error) {
	err = row.Scan(exactly(k.image[:]), &k.id, &k.author)
	return k, err
}

func resealImages(ctx context.Context, q querier, r Resealer, done *Resealed) error {
	for last := []byte{}; ; {
		page, err := collect(ctx, q, query{
			`SELECT id, id_key_sealed, author_key_sealed FROM images WHERE id > $1 ORDER BY id LIMIT $2`, []any{last, resealPage},
		}, scanSealedKeys)
		if err != nil || len(page) == 0 {
			return err
		}
		for i := range page {
			if err := resealImage(ctx, q, r, &page[i]); err != nil {
				return err
			}
		}
		done.Images += len(page)
		last = page[len(page)-1].image[:]
	}
}

func resealImage(ctx context.Context, q querier, r Resealer, k *sealedKeys) error {
	id, author, err := r.ImageKeys(k.image, k.id, k.author)
	if err == nil {
		err = errors.Join(checkBytes("sealed ID key", id), checkBytes("sealed author key", author))
	}
	if err != nil {
		return err
	}
	_, err = q.ExecContext(ctx, `UPDATE images SET id_key_sealed = $1, author_key_sealed = $2 WHERE id = $3`, id, author, k.image[:])
	return err // an image that was deleted meanwhile is no row
}
