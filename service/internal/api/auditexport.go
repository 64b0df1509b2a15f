package api

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/audit"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
)

// exportAudit writes records as JSON lines, oldest first, as far as the log goes
// now. Each has the bytes that its hash is over.
func (a *API) exportAudit(w http.ResponseWriter, r *request) error {
	q := queryOf(r, auditFilterNames())
	filter := readAuditFilter(q)
	if q.err != nil {
		return q.err
	}
	head, err := a.Store.AuditHead(r.Context())
	if err != nil {
		return err
	}
	leave, err := a.exports.enter(r)
	if err != nil {
		return err
	}
	defer leave()
	attach(w, typeLines, "audit.jsonl")
	out := json.NewEncoder(newPacedWriter(w, r.control, a.pace))
	page := store.AuditRange{OldestFirst: true, Before: head.Seq + 1, Limit: store.MaxPage}
	for {
		entries, err := a.Store.ListAudit(r.Context(), filter, page)
		if err != nil {
			return err
		}
		for i, e := range entries {
			previous, err := a.previousHash(r.Context(), entries, i)
			if err != nil {
				return err
			}
			record := wireRecord(e, previous)
			record.Body = e.Body
			if err := out.Encode(record); err != nil {
				return fmt.Errorf("write record: %w", err)
			}
		}
		if len(entries) < page.Limit {
			return nil
		}
		page.After = entries[len(entries)-1].Seq
	}
}

// verifyAudit checks the chain and, when the client has kept a head of it, that
// it still leads there.
func (a *API) verifyAudit(w http.ResponseWriter, r *request) error {
	kept, err := readKeptHead(r)
	if err != nil {
		return err
	}
	leave, err := a.checks.enter(r)
	if err != nil {
		return err
	}
	defer leave()
	end, err := a.Store.VerifyAudit(r.Context(), 1, nil)
	if err == nil && kept != nil {
		err = a.Store.VerifyAuditAgainst(r.Context(), *kept)
	}
	var broken *audit.BrokenError
	switch {
	case errors.As(err, &broken):
		whole := max(broken.Seq-1, 0)
		if end.Seq > 0 { // the chain is whole, it is the kept head that lies behind
			whole = min(whole, end.Seq)
		}
		return writeJSON(w, http.StatusOK, wire.AuditVerification{
			Records: whole, Head: wireHead(end), Broken: broken.Seq, Problem: broken.Error(),
		})
	case err != nil:
		return err
	}
	return writeJSON(w, http.StatusOK, wire.AuditVerification{Valid: true, Records: end.Seq, Head: wireHead(end)})
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
		return nil, malformed("want a head of seq, from 1, and hash, 64 hexadecimal digits")
	}
	copy(head.Hash[:], hash)
	return head, nil
}
