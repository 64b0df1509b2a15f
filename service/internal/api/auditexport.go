package api

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/access"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/audit"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/oversight"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
)

// exportAudit writes records as JSON lines, oldest first, as far as the log goes
// now. Each has the bytes that its hash is over.
func (a *API) exportAudit(w http.ResponseWriter, r *request) error {
	filter, err := ParseAuditFilter(r.URL.RawQuery)
	if err != nil {
		return err
	}
	return SendAudit(r.Context(), a.cfg.Limits.Pace.Writer(w, r.control), a.cfg.Desk, r.actor, filter)
}

// ParseAuditFilter reads the filter of an export, which is all of its query.
func ParseAuditFilter(rawQuery string) (store.AuditFilter, error) {
	q := parseQuery(rawQuery, auditFilterNames())
	filter := readAuditFilter(q)
	return filter, q.err
}

// SendAudit sends records.
func SendAudit(ctx context.Context, w http.ResponseWriter, desk *oversight.Desk, actor access.Actor, filter store.AuditFilter) error {
	lines := json.NewEncoder(w)
	return desk.ExportAudit(ctx, actor, filter, func() { attach(w, typeLines, "audit.jsonl") }, func(e audit.Entry) error {
		record := wireRecord(e)
		record.Body = e.Body
		if err := lines.Encode(record); err != nil {
			return fmt.Errorf("write record: %w", err)
		}
		return nil
	})
}

// verifyAudit checks the chain and, when the client has kept a head of it, that
// it still leads there.
func (a *API) verifyAudit(w http.ResponseWriter, r *request) error {
	kept, err := readKeptHead(r)
	if err != nil {
		return err
	}
	verified, err := a.cfg.Desk.VerifyAudit(r.Context(), r.actor, kept)
	if err != nil {
		return err
	}
	out := wire.AuditVerification{Valid: verified.Broken == nil, Records: verified.Records, Head: wireHead(verified.Head)}
	if verified.Broken != nil {
		out.Broken, out.Problem = verified.Broken.Seq, verified.Broken.Error()
	}
	return writeJSON(w, http.StatusOK, out)
}

// readKeptHead returns nil when the client sent none.
func readKeptHead(r *request) (*audit.Head, error) {
	if r.ContentLength == 0 {
		return nil, nil
	}
	var kept wire.AuditHead
	if err := readJSON(r, &kept); err != nil {
		return nil, err
	}
	head := &audit.Head{Seq: kept.Seq}
	hash, err := hex.DecodeString(kept.Hash)
	if err != nil || len(hash) != len(head.Hash) || kept.Seq < 1 {
		return nil, malformed("want a seq of at least 1 and a hash of 64 hexadecimal digits")
	}
	copy(head.Hash[:], hash)
	return head, nil
}
