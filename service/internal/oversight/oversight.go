package oversight

import (
	"context"
	"io"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/kds"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/access"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/audit"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
)

// KDS is the cache of AMD's certificates; *kds.Client is one.
type KDS interface {
	Export(ctx context.Context, w io.Writer) (exported []kds.Key, left []kds.Inspected, err error)
	Import(ctx context.Context, r io.Reader) ([]kds.Key, error)
}

// Desk is where operators look. Its methods are safe for concurrent use.
type Desk struct {
	Store    *store.Store
	Gate     *access.Gate
	KDS      KDS
	KDSCache kds.Cache
}

// Status is how much there is.
type Status struct {
	store.Counts
	Head audit.Head
}

// Status counts.
func (d *Desk) Status(ctx context.Context, actor access.Actor) (Status, error) {
	if err := d.Gate.Permit(ctx, actor, access.ReadStatus); err != nil {
		return Status{}, err
	}
	counts, err := d.Store.Count(ctx)
	if err != nil {
		return Status{}, err
	}
	head, err := d.Store.AuditHead(ctx)
	return Status{counts, head}, err
}

// Tokens returns all tokens, without their secrets.
func (d *Desk) Tokens(ctx context.Context, actor access.Actor) ([]store.Token, error) {
	if err := d.Gate.Permit(ctx, actor, access.ReadTokens); err != nil {
		return nil, err
	}
	var tokens []store.Token
	for cursor := ""; ; {
		page, err := d.Store.ListTokens(ctx, store.TokenFilter{Cursor: cursor, Limit: store.MaxPage})
		if err != nil {
			return nil, err
		}
		tokens = append(tokens, page.Items...)
		if cursor = page.Next; cursor == "" {
			return tokens, nil
		}
	}
}
