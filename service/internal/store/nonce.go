package store

import (
	"context"
	"time"
)

// useNonces uses up nonces, and returns for each, if it is not nil, whether it was not
// used before, nor by an earlier one of them.
func useNonces(ctx context.Context, q querier, nonces []*Nonce) ([]bool, error) {
	var rows [][]any
	first := map[[32]byte]int{}
	for i, n := range nonces {
		if n == nil {
			continue
		}
		if _, again := first[n.Hash]; !again {
			first[n.Hash] = i
			rows = append(rows, []any{n.Hash[:], micros(n.Expires)})
		}
	}
	taken := map[[32]byte]bool{}
	for _, run := range runs(rows) {
		var b builder
		b.add("INSERT INTO nonces (hash, expires_at) VALUES ")
		b.rows(run)
		b.add(" ON CONFLICT DO NOTHING RETURNING hash")
		hashes, err := collect(ctx, q, b.query(), scanHash)
		if err != nil {
			return nil, err
		}
		for _, hash := range hashes {
			taken[hash] = true
		}
	}
	fresh := make([]bool, len(nonces))
	for i, n := range nonces {
		fresh[i] = n == nil || taken[n.Hash] && first[n.Hash] == i
	}
	return fresh, nil
}

// pruneNonces forgets nonces that nobody takes any more.
func pruneNonces(ctx context.Context, q querier, now time.Time) error {
	_, err := q.ExecContext(ctx, `DELETE FROM nonces WHERE expires_at <= $1`, micros(now.Add(-nonceMargin)))
	return err
}
