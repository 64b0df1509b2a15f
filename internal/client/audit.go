package client

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// AuditFilter selects audit records. The zero value selects all.
type AuditFilter struct {
	Outcome  string // "granted", "denied" or "done"
	Reason   string
	ImageID  string // its ID
	Instance string // its ID
	Since    time.Time
	Limit    int // at most so many; 0 for all
}

// query returns the filter as the API takes it.
func (f AuditFilter) query() url.Values {
	query := url.Values{}
	for name, value := range map[string]string{"outcome": f.Outcome, "reason": f.Reason, "image_id": f.ImageID, "instance": f.Instance} {
		if value != "" {
			query.Set(name, value)
		}
	}
	if !f.Since.IsZero() {
		query.Set("since", f.Since.UTC().Format(time.RFC3339Nano))
	}
	return query
}

// Audit returns the audit records that pass a filter, newest first.
func (c *Client) Audit(ctx context.Context, f AuditFilter) ([]wire.AuditRecord, error) {
	query := f.query()
	all := []wire.AuditRecord{}
	for {
		want := pageSize
		if f.Limit > 0 {
			want = min(want, f.Limit-len(all))
		}
		query.Set("limit", strconv.Itoa(want))
		var page wire.AuditList
		if err := c.call(ctx, request{method: http.MethodGet, path: wire.PathAudit, query: query}, nil, &page); err != nil {
			return nil, err
		}
		all = append(all, page.Records...)
		if page.Next == "" || f.Limit > 0 && len(all) >= f.Limit {
			return all, nil
		}
		query.Set("cursor", page.Next)
	}
}

// ExportAudit writes the whole audit log, a record a line, oldest first.
func (c *Client) ExportAudit(ctx context.Context, w io.Writer) error {
	body, err := c.open(ctx, request{method: http.MethodGet, path: wire.PathAudit + "/export", accept: "application/jsonl"})
	if err != nil {
		return err
	}
	defer body.Close()
	_, err = io.Copy(w, body)
	return err
}

// VerifyAudit has the service check the hash chain of its audit log. When head
// is not zero, the log must hold that record still.
func (c *Client) VerifyAudit(ctx context.Context, head wire.AuditHead) (*wire.AuditVerification, error) {
	var out wire.AuditVerification
	var in any // no body without a head
	if head != (wire.AuditHead{}) {
		in = head
	}
	return &out, c.call(ctx, request{method: http.MethodPost, path: wire.PathAudit + "/verify"}, in, &out)
}
