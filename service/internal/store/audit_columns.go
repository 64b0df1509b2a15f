package store

import (
	"bytes"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/audit"
)

// auditColumns find records. Each repeats what the body says.
const auditColumns = `recorded_at, kind, outcome, reason, request_id, image_id, chip_id, instance_id`

// columns are the values of auditColumns.
type columns struct {
	recordedAt                       int64
	kind, outcome, reason, requestID string
	imageID, chipID, instanceID      []byte
}

func columnsOf(r audit.Record) columns {
	c := columns{micros(r.Time), r.Kind, r.Outcome, string(r.Reason), r.RequestID, nil, nil, nil}
	if r.ImageID != (wire.UUID{}) {
		c.imageID = bytes.Clone(r.ImageID[:])
	}
	if len(r.ChipID) > 0 {
		c.chipID = r.ChipID
	}
	if !r.InstanceID.IsZero() {
		c.instanceID = bytes.Clone(r.InstanceID[:])
	}
	return c
}

func (c *columns) fields() []any {
	return []any{&c.recordedAt, &c.kind, &c.outcome, &c.reason, &c.requestID, &c.imageID, &c.chipID, &c.instanceID}
}

func (c columns) args() []any {
	return []any{c.recordedAt, c.kind, c.outcome, c.reason, c.requestID, c.imageID, c.chipID, c.instanceID}
}

// difference names a column that does not say what the other says.
func (c columns) difference(other columns) string {
	switch {
	case c.recordedAt != other.recordedAt:
		return "recorded_at"
	case c.kind != other.kind:
		return "kind"
	case c.outcome != other.outcome:
		return "outcome"
	case c.reason != other.reason:
		return "reason"
	case c.requestID != other.requestID:
		return "request_id"
	case !bytes.Equal(c.imageID, other.imageID):
		return "image_id"
	case !bytes.Equal(c.chipID, other.chipID):
		return "chip_id"
	case !bytes.Equal(c.instanceID, other.instanceID):
		return "instance_id"
	}
	return ""
}
