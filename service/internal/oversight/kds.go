package oversight

import (
	"context"
	"errors"
	"io"
	"strconv"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/kds"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/access"
)

// Cached lists the cache of AMD's certificates.
func (d *Desk) Cached(ctx context.Context, actor access.Actor) ([]kds.Listed, error) {
	if err := d.Gate.Permit(ctx, actor, access.ReadKDS); err != nil {
		return nil, err
	}
	return d.KDSCache.List(ctx)
}

// ExportKDS writes an archive of the cache. begin is called before, when nothing more
// is refused.
func (d *Desk) ExportKDS(ctx context.Context, actor access.Actor, begin func(), w io.Writer) error {
	permit, err := d.Gate.Begin(ctx, actor, access.ExportKDS)
	if err != nil {
		return err
	}
	defer permit.End()
	begin()
	_, _, err = d.KDS.Export(ctx, w)
	return err
}

// recordTime bounds how long the record of an import may take.
const recordTime = 15 * time.Second

// ImportKDS reads an archive into the cache. What was imported is on record, even if the
// rest failed or the client went away meanwhile.
func (d *Desk) ImportKDS(ctx context.Context, actor access.Actor, r io.Reader) ([]kds.Key, error) {
	permit, err := d.Gate.Begin(ctx, actor, access.ImportKDS)
	if err != nil {
		return nil, err
	}
	defer permit.End()
	keys, err := d.KDS.Import(ctx, r)
	if len(keys) == 0 {
		return nil, err
	}
	record := permit.Record()
	record.Details = map[string]string{"entries": strconv.Itoa(len(keys))}
	late, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordTime)
	defer cancel()
	_, recordErr := d.Gate.Log.RecordAdmin(late, record)
	return keys, errors.Join(err, recordErr)
}
