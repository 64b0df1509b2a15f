package store

import (
	"context"
	"database/sql"
)

// querier runs statements: a pool, or a transaction.
type querier interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// work is what is done in a transaction. It runs again when the transaction had
// to be given up, so it changes nothing outside before it succeeded. Methods of
// the store that get its context take part in the transaction.
type work func(ctx context.Context, q querier) error

// transaction is one under way, with what it changed of authenticated rows.
type transaction struct {
	*sql.Tx
	change  rowSum
	renewed rowKey // the key under which Reseal wrote all MACs anew
}

// txKey is the key of a store's transaction in a context.
type txKey struct{ store *Store }

// joined returns the transaction that ctx belongs to.
func (s *Store) joined(ctx context.Context) (*transaction, bool) {
	tx, ok := ctx.Value(txKey{s}).(*transaction)
	return tx, ok
}

// inTx runs work in a transaction, or as part of the one that ctx belongs to.
func (s *Store) inTx(ctx context.Context, do work) error {
	if tx, ok := s.joined(ctx); ok {
		return do(ctx, tx)
	}
	return retry(ctx, func() error { return s.tryTx(ctx, do) })
}

func (s *Store) tryTx(ctx context.Context, do work) error {
	began, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = began.Rollback() }() // does nothing after Commit
	tx := &transaction{Tx: began}
	if err := do(context.WithValue(ctx, txKey{s}, tx), tx); err != nil {
		return err
	}
	if err := s.settle(ctx, tx); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return &commitError{err}
	}
	return nil
}

// view runs a read outside of a transaction, or in the one that ctx belongs to.
func (s *Store) view(ctx context.Context, do work) error {
	if tx, ok := s.joined(ctx); ok {
		return do(ctx, tx)
	}
	return retry(ctx, func() error { return do(ctx, s.read) })
}
