package access

import (
	"context"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/audit"
)

// Refusal is why an actor of the right role may not carry out an operation.
type Refusal struct {
	Rule, Expected, Found string
	Image, Release        wire.UUID
}

// PartyError is an operation that needs another party than the one that asks.
type PartyError struct{ Expected string }

// Error says who is wanted.
func (e *PartyError) Error() string { return "this needs " + e.Expected }

// Party names who carries the operation out, see Principal.Party.
func (p *Permit) Party() string { return p.actor.Principal.Party() }

// Refuse puts a refusal on record, as Gate.Permit does one for the role. The error is a
// *PartyError unless the record fails.
func (p *Permit) Refuse(ctx context.Context, r Refusal) error {
	if p.gate.refused.Take(p.actor.String()) == 0 {
		record := p.actor.record(reasonPartyRefused)
		record.Outcome, record.Rule, record.Expected, record.Found = audit.OutcomeDenied, r.Rule, r.Expected, r.Found
		record.ImageID, record.ReleaseID = r.Image, r.Release
		if _, err := p.gate.Log.RecordAdmin(ctx, record); err != nil {
			return err
		}
	}
	return &PartyError{r.Expected}
}
