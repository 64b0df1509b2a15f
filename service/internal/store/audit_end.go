package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/audit"
)

// end is the end of the audit chain and the sum of the authenticated rows, which one
// MAC covers: neither is set back without the other, nor by anybody but the service.
type end struct {
	audit.Head
	rows rowSum
}

const endColumns = `seq, hash, row_sum, mac`

// endTable stands for the table's name in the MAC.
const endTable = "audit_head"

// errSetBack is an end that comes before one that this process has seen.
var errSetBack = errors.New("the database went back to an earlier state: restart the service if you restored a backup, or if a standby without the last records took over")

// lockEnd returns the end of the chain and keeps others from extending it until the
// transaction ends: they wait for the row. The error wraps ErrTampered.
func (s *Store) lockEnd(ctx context.Context, q querier) (end, error) {
	at, err := s.readEnd(ctx, q.QueryRowContext(ctx, `UPDATE audit_head SET seq = seq WHERE id = 1 RETURNING `+endColumns))
	if err != nil {
		return end{}, err
	}
	if s.broken.Load() {
		return end{}, fmt.Errorf("the rows of the database do not add up: %w", ErrTampered)
	}
	if seen := s.seen.Load(); at.Seq < seen {
		return end{}, fmt.Errorf("audit log ends at record %d, after %d was seen: %w: %w", at.Seq, seen, errSetBack, ErrTampered)
	}
	s.seen.Store(at.Seq)
	return at, nil
}

// readEnd reads endColumns and checks the MAC. The error wraps ErrTampered.
func (s *Store) readEnd(ctx context.Context, row scanner) (end, error) {
	var at end
	var hash, rows, mac []byte // NULL before the first record or row
	if err := row.Scan(&at.Seq, &hash, &rows, &mac); err != nil {
		return end{}, fmt.Errorf("read end of the audit log: %w", err)
	}
	if at.Seq == 0 && hash == nil && rows == nil && mac == nil {
		return end{}, nil
	}
	var sealed [sealedSumSize]byte
	err := errors.Join(exactly(at.Hash[:]).Scan(hash), exactly(sealed[:]).Scan(rows))
	key := s.endKey(ctx)
	if err == nil {
		err = key.check(mac, endTable, at.Seq, hash, rows)
	}
	if err == nil {
		at.rows, err = key.openSum(sealed)
	}
	if err != nil {
		return end{}, fmt.Errorf("end of the audit log: %w", err)
	}
	return at, nil
}

// writeEnd moves the end, which is locked.
func (s *Store) writeEnd(ctx context.Context, q querier, at end) error {
	key := s.endKey(ctx)
	rows, err := key.sealSum(at.rows)
	if err != nil {
		return err
	}
	mac, err := key.mac(endTable, at.Seq, at.Hash[:], rows)
	if err != nil {
		return err
	}
	return affectOne(ctx, q, query{
		`UPDATE audit_head SET seq = $1, hash = $2, row_sum = $3, mac = $4 WHERE id = 1`, []any{at.Seq, at.Hash[:], rows, mac[:]},
	})
}

// endKey is the key of the end: in a transaction that has renewed the MACs, the new one.
func (s *Store) endKey(ctx context.Context) rowKey {
	if tx, ok := s.joined(ctx); ok && tx.renewed != nil {
		return tx.renewed
	}
	return s.rowKey
}
