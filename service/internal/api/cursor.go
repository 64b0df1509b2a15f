package api

import (
	"strconv"
	"strings"
)

// auditCursor is where a page of the audit log ended: the page that follows
// begins after or before that record.
type auditCursor struct {
	oldestFirst bool
	seq         int64 // of the last record that was listed; 0: before the first
}

// String returns what parseAuditCursor reads. Clients take it as it is.
func (c auditCursor) String() string {
	if c.oldestFirst {
		return "after-" + strconv.FormatInt(c.seq, 10)
	}
	return "before-" + strconv.FormatInt(c.seq, 10)
}

// parseAuditCursor reads a cursor of this form and no other.
func parseAuditCursor(text string) (auditCursor, error) {
	direction, number, _ := strings.Cut(text, "-")
	seq, err := strconv.ParseInt(number, 10, 64)
	c := auditCursor{oldestFirst: direction == "after", seq: seq}
	if err != nil || seq < 0 || c.String() != text {
		return auditCursor{}, malformed("the cursor does not belong to this list: start again without it")
	}
	return c, nil
}
