package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/audit"
)

// LockSecret returns a sealed secret and, in the transaction of ctx, keeps others
// from resealing until that ends. The error wraps ErrNotFound.
func (s *Store) LockSecret(ctx context.Context, name string) (sealed []byte, err error) {
	err = s.inTx(ctx, func(ctx context.Context, q querier) error {
		err := q.QueryRowContext(ctx, `UPDATE secrets SET name = name WHERE name = $1 RETURNING sealed`, audit.Storable(name)).Scan(&sealed)
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
	Share(instance wire.UUID, sealed []byte) ([]byte, error)

	// RowKey returns the key that authenticates rows from now on, RowKeySize bytes.
	RowKey() []byte
}

// Resealed counts what Reseal sealed anew.
type Resealed struct{ Secrets, Images, Instances int }

// resealPage is how many rows are in memory at a time.
const resealPage = 500

// Reseal seals all secrets, all keys of images and all shares of instances anew and renews the MACs of all
// rows under another key, or does nothing. This store, and others that run, have the
// old key: they read and write no authenticated row any more. Whoever holds
// LockSecret when it begins is waited for, and comes next otherwise. The error
// is the resealer's, or wraps ErrInvalid or ErrTampered.
func (s *Store) Reseal(ctx context.Context, r Resealer) (done Resealed, err error) {
	err = s.inTx(ctx, func(ctx context.Context, q querier) error {
		w := resealing{Store: s, by: r, q: q, key: append(rowKey(nil), r.RowKey()...)}
		if len(w.key) != RowKeySize {
			return invalidf("key to authenticate rows has %d bytes, want %d", len(w.key), RowKeySize)
		}
		err := w.all(ctx)
		done = w.done
		return err
	})
	if err != nil {
		return Resealed{}, fmt.Errorf("reseal: %w", err)
	}
	return done, nil
}

// resealing is a Reseal under way.
type resealing struct {
	*Store
	by   Resealer
	q    querier
	key  rowKey // the new one
	sum  rowSum // under the new key
	done Resealed
}

func (w *resealing) all(ctx context.Context) error {
	// The secrets come first, since LockSecret locks them before an image is
	// added: what was added is seen below. With the end locked, no other
	// transaction adds an authenticated row meanwhile.
	if err := w.secrets(ctx); err != nil {
		return err
	}
	at, err := w.lockEnd(ctx, w.q)
	if err != nil {
		return err
	}
	for _, renew := range []func(context.Context) error{
		w.images,
		func(ctx context.Context) error { return renewRows[Release](ctx, w, w.scanRelease) },
		func(ctx context.Context) error { return renewRows[Channel](ctx, w, w.scanChannel) },
		func(ctx context.Context) error { return renewRows[Verification](ctx, w, w.scanVerification) },
		func(ctx context.Context) error { return renewRows[tombstone](ctx, w, w.scanTombstone) },
		w.instances,
		func(ctx context.Context) error { return renewRows[instanceTombstone](ctx, w, w.scanInstanceTombstone) },
		func(ctx context.Context) error { return renewRows[Session](ctx, w, w.scanSession) },
		func(ctx context.Context) error { return renewRows[Token](ctx, w, w.scanToken) },
	} {
		if err := renew(ctx); err != nil {
			return err
		}
	}
	tx, _ := w.joined(ctx)
	tx.renewed = w.key
	at.rows = w.sum
	return w.writeEnd(ctx, w.q, at)
}

func (w *resealing) secrets(ctx context.Context) error {
	secrets, err := collect(ctx, w.q, query{text: `UPDATE secrets SET name = name RETURNING name, sealed`}, scanSecret)
	if err != nil {
		return err
	}
	for _, secret := range secrets {
		sealed, err := w.by.Secret(secret.name, secret.sealed)
		if err == nil {
			err = checkBytes("secret", sealed)
		}
		if err != nil {
			return err
		}
		if err := affectOne(ctx, w.q, query{`UPDATE secrets SET sealed = $1 WHERE name = $2`, []any{sealed, secret.name}}); err != nil {
			return err
		}
		secret.sealed = sealed
		if err := w.addTerm(&secret); err != nil {
			return err
		}
		w.done.Secrets++
	}
	return nil
}

// images seals the keys of images anew, too.
func (w *resealing) images(ctx context.Context) error {
	return renewRows[Image](ctx, w, func(r scanner) (Image, error) {
		i, err := w.scanImage(r)
		if err != nil {
			return i, err
		}
		if i.IDKeySealed, i.AuthorKeySealed, err = w.by.ImageKeys(i.ID, i.IDKeySealed, i.AuthorKeySealed); err != nil {
			return i, err
		}
		w.done.Images++
		return i, errors.Join(checkBytes("sealed ID key", i.IDKeySealed), checkBytes("sealed author key", i.AuthorKeySealed))
	})
}

// instances seals the shares of instances anew, too.
func (w *resealing) instances(ctx context.Context) error {
	return renewRows[Instance](ctx, w, func(r scanner) (Instance, error) {
		i, err := w.scanInstance(r)
		if err != nil {
			return i, err
		}
		if i.ShareSealed, err = w.by.Share(i.ID, i.ShareSealed); err != nil {
			return i, err
		}
		w.done.Instances++
		return i, checkBytes("sealed share", i.ShareSealed)
	})
}

// renewRows writes the rows of a table anew, with MACs under the new key. Scan checks
// each under the old one.
func renewRows[T any, R pointer[T]](ctx context.Context, w *resealing, scan func(scanner) (T, error)) error {
	t := R(new(T)).table()
	key, _, _ := strings.Cut(t.columns, ",")
	for last := []byte{}; ; {
		page, err := collect(ctx, w.q, query{
			`SELECT ` + t.selection() + ` FROM ` + t.name + ` WHERE ` + key + ` > $1 ORDER BY ` + key + ` LIMIT $2`, []any{last, resealPage},
		}, scan)
		if err != nil || len(page) == 0 {
			return err
		}
		for i := range page {
			if err := w.renew(ctx, R(&page[i])); err != nil {
				return err
			}
		}
		last = primaryKey(R(&page[len(page)-1]))
	}
}

func (w *resealing) renew(ctx context.Context, r row) error {
	mac, err := w.key.mac(r.table().name, r.values()...)
	if err != nil {
		return err
	}
	if err := w.addTerm(r); err != nil {
		return err
	}
	return overwrite(ctx, w.q, r, mac)
}

func (w *resealing) addTerm(r row) error {
	if !r.table().summed {
		return nil
	}
	term, err := w.key.term(r)
	w.sum.add(term)
	return err
}

// primaryKey returns the first value of a row, of those tables all bytes.
func primaryKey(r row) []byte { return r.values()[0].([]byte) }
