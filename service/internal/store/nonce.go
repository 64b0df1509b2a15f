package store

import (
	"context"
	"time"
)

// useNonces uses up the nonces of unlocks, and returns for each whether its nonce,
// if it has one, was not used before, nor by an earlier one of them.
func useNonces(ctx context.Context, q querier, unlocks []Unlock) ([]bool, error) {
	var rows [][]any
	first := map[[32]byte]int{}
	for i, u := range unlocks {
		if u.Nonce == nil {
			continue
		}
		if _, again := first[u.Nonce.Hash]; !again {
			first[u.Nonce.Hash] = i
			rows = append(rows, []any{u.Nonce.Hash[:], micros(u.Nonce.Expires)})
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
	fresh := make([]bool, len(unlocks))
	for i, u := range unlocks {
		fresh[i] = u.Nonce == nil || taken[u.Nonce.Hash] && first[u.Nonce.Hash] == i
	}
	return fresh, nil
}

// pruneNonces forgets nonces that nobody takes any more.
func pruneNonces(ctx context.Context, q querier, now time.Time) error {
	_, err := q.ExecContext(ctx, `DELETE FROM nonces WHERE expires_at <= $1`, micros(now.Add(-nonceMargin)))
	return err
}
