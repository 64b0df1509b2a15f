package store

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/audit"
)

// PutSecretIfAbsent keeps a sealed secret under a name, unless there is one, and
// returns the one that is kept: of two replicas that start together, both use the
// key of one. The error wraps ErrInvalid.
func (s *Store) PutSecretIfAbsent(ctx context.Context, name string, sealed []byte) ([]byte, error) {
	if err := errors.Join(checkName("name", name), checkBytes("secret", sealed)); err != nil {
		return nil, fmt.Errorf("put secret: %w", err)
	}
	var kept []byte
	err := s.inTx(ctx, func(ctx context.Context, q querier) error {
		done, err := q.ExecContext(ctx, `INSERT INTO secrets (name, sealed) VALUES ($1, $2) ON CONFLICT DO NOTHING`, name, sealed)
		if err != nil {
			return err
		}
		if n, err := done.RowsAffected(); err != nil {
			return err
		} else if n > 0 {
			if err := s.noteChange(ctx, nil, &sealedSecret{name, sealed}); err != nil {
				return err
			}
		}
		return q.QueryRowContext(ctx, `SELECT sealed FROM secrets WHERE name = $1`, name).Scan(&kept)
	})
	if err != nil {
		return nil, fmt.Errorf("put secret: %w", err)
	}
	return kept, nil
}

// Secret returns a sealed secret, if there is one of the name.
func (s *Store) Secret(ctx context.Context, name string) (sealed []byte, found bool, err error) {
	sealed, err = s.bytes(ctx, "secret "+name, query{`SELECT sealed FROM secrets WHERE name = $1`, []any{audit.Storable(name)}})
	if errors.Is(err, ErrNotFound) {
		return nil, false, nil
	}
	return sealed, err == nil, err
}

// ReplaceSecret keeps a secret in place of the old one. The error wraps
// ErrInvalid, ErrNotFound, or ErrChanged when another one is kept by now.
func (s *Store) ReplaceSecret(ctx context.Context, name string, old, sealed []byte) error {
	if err := errors.Join(checkName("name", name), checkBytes("secret", sealed)); err != nil {
		return fmt.Errorf("replace secret: %w", err)
	}
	err := s.inTx(ctx, func(ctx context.Context, q querier) error {
		// Locks the row, too.
		var kept []byte
		err := q.QueryRowContext(ctx, `UPDATE secrets SET name = name WHERE name = $1 RETURNING sealed`, name).Scan(&kept)
		switch {
		case errors.Is(err, sql.ErrNoRows):
			return ErrNotFound
		case err != nil:
			return err
		case !bytes.Equal(kept, old):
			return ErrChanged
		}
		if err := affectOne(ctx, q, query{`UPDATE secrets SET sealed = $1 WHERE name = $2`, []any{sealed, name}}); err != nil {
			return err
		}
		return s.noteChange(ctx, &sealedSecret{name, kept}, &sealedSecret{name, sealed})
	})
	if err != nil {
		return fmt.Errorf("replace secret: %w", err)
	}
	return nil
}

// sealedSecret is a row of the table secrets. Each is authenticated by how it is
// sealed; the sum of all rows shows when an older one was put back.
type sealedSecret struct {
	name   string
	sealed []byte
}

func scanSecret(row scanner) (s sealedSecret, err error) {
	err = row.Scan(&s.name, &s.sealed)
	return s, err
}

func (s *sealedSecret) table() table {
	return table{name: "secrets", columns: "name, sealed", summed: true}
}

func (s *sealedSecret) values() []any { return []any{s.name, s.sealed} }

// SetSetting keeps a setting, in place of an earlier one of the name. The error
// wraps ErrInvalid.
func (s *Store) SetSetting(ctx context.Context, name string, content []byte) error {
	if err := errors.Join(checkName("name", name), checkBytes("setting", content)); err != nil {
		return fmt.Errorf("set %s: %w", name, err)
	}
	return s.editOne(ctx, "setting", query{
		`INSERT INTO settings (name, content) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET content = excluded.content`,
		[]any{name, content},
	})
}

// Setting returns a setting. The error wraps ErrNotFound.
func (s *Store) Setting(ctx context.Context, name string) ([]byte, error) {
	return s.bytes(ctx, "setting "+name, query{`SELECT content FROM settings WHERE name = $1`, []any{audit.Storable(name)}})
}

// bytes reads one column of one row. The error wraps ErrNotFound.
func (s *Store) bytes(ctx context.Context, what string, ask query) ([]byte, error) {
	var b []byte
	err := s.view(ctx, func(ctx context.Context, q querier) error {
		err := q.QueryRowContext(ctx, ask.text, ask.args...).Scan(&b)
		if errors.Is(err, sql.ErrNoRows) {
			return ErrNotFound
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	return b, nil
}
