package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// UndoPeriod is how long a deleted instance can be had back. Then its share is
// destroyed.
const UndoPeriod = 24 * time.Hour

// RestorePeriod is how long an older generation of an instance stays allowed.
const RestorePeriod = time.Hour

// instanceColumns are what the MAC of an instance covers. The recovery itself is not
// among them: its hash is.
const instanceColumns = `id, image_id, name, enabled, auto, created_at, created_by, state, sealed, share_sealed, recovery_sha256,
	granted_report_id, granted_boot_key, granted_release, granted_generation, granted_at, generation,
	committed_report_id, committed_boot_key, committed_release, committed_generation, committed_at,
	ready_at, restore_generation, restore_until, deleted_at`

func (i *Instance) table() table {
	return table{name: "instances", columns: instanceColumns, summed: true}
}

func (i *Instance) values() []any {
	values := []any{
		i.ID[:], i.Image[:], i.Name, i.Enabled, i.Auto, micros(i.CreatedAt), i.CreatedBy, string(i.State), i.Sealed[:], i.ShareSealed, i.RecoveryHash[:],
	}
	values = append(values, i.Granted.values()...)
	values = append(values, int64(i.Generation))
	values = append(values, i.Committed.values()...)
	return append(values, micros(i.ReadyAt), int64(i.Restore), micros(i.RestoreUntil), micros(i.DeletedAt))
}

func (b *Boot) values() []any {
	return []any{b.ReportID[:], b.BootKey[:], b.Release[:], int64(b.Generation), micros(b.At)}
}

func (i *Instance) fields() []any {
	fields := []any{
		exactly(i.ID[:]), exactly(i.Image[:]), &i.Name, &i.Enabled, &i.Auto, instant{&i.CreatedAt}, &i.CreatedBy, (*string)(&i.State),
		exactly(i.Sealed[:]), &i.ShareSealed, exactly(i.RecoveryHash[:]),
	}
	fields = append(fields, i.Granted.fields()...)
	fields = append(fields, &i.Generation)
	fields = append(fields, i.Committed.fields()...)
	return append(fields, instant{&i.ReadyAt}, &i.Restore, instant{&i.RestoreUntil}, instant{&i.DeletedAt})
}

func (b *Boot) fields() []any {
	return []any{exactly(b.ReportID[:]), exactly(b.BootKey[:]), exactly(b.Release[:]), &b.Generation, instant{&b.At}}
}

// scanInstance reads instanceColumns and the MAC, and checks it.
func (s *Store) scanInstance(row scanner) (Instance, error) {
	var i Instance
	var mac []byte
	err := row.Scan(append(i.fields(), &mac)...)
	if err == nil {
		err = s.genuine(&i, mac)
	}
	return i, err
}

// scanWhole is scanInstance with the recovery.
func (s *Store) scanWhole(row scanner) (Instance, error) {
	var i Instance
	var mac []byte
	err := row.Scan(append(i.fields(), &mac, &i.Recovery)...)
	if err == nil {
		err = s.genuine(&i, mac)
	}
	if err == nil && recoveryHash(i.Recovery) != i.RecoveryHash {
		err = fmt.Errorf("recovery of instance %s: %w", i.ID, ErrTampered)
	}
	return i, err
}

// recoveryHash is zeros for none.
func recoveryHash(recovery []byte) [32]byte {
	if len(recovery) == 0 {
		return [32]byte{}
	}
	return sha256.Sum256(recovery)
}

// validate refuses an instance that makes no sense. The error wraps ErrInvalid.
func (i *Instance) validate() error {
	if i.ID.IsZero() || i.Image.IsZero() {
		return invalidf("instance without an ID or an image")
	}
	if err := wire.CheckInstanceName(i.Name); err != nil {
		return invalidf("%s", err)
	}
	return errors.Join(
		checkBytes("sealed share", i.ShareSealed), checkName("party", i.CreatedBy), i.validateState(),
		checkGenerations(i.Generation, i.Granted.Generation, i.Committed.Generation, i.Restore),
	)
}

func (i *Instance) validateState() error {
	var want bool
	claimed, ready := i.Sealed != [32]byte{}, !i.ReadyAt.IsZero()
	switch i.State {
	case wire.StateNew:
		want = !claimed && !ready && i.Generation == 0
	case wire.StateClaimed:
		want = claimed && !ready && i.Generation == 0
	case wire.StateReady:
		want = claimed && ready && i.Generation > 0
	}
	if !want || len(i.Recovery) > wire.MaxRecovery {
		return invalidf("state %.20q, claimed by %x, generation %d, recovery of %d bytes", i.State, i.Sealed, i.Generation, len(i.Recovery))
	}
	return nil
}

func checkGenerations(generations ...uint64) error {
	for _, g := range generations {
		if g >= wire.MaxGeneration {
			return invalidf("generation %d", g)
		}
	}
	return nil
}

// updateInstance writes an instance anew that was read as old while the end of the log
// was locked. With its recovery, if that was read, too. The error wraps ErrInvalid.
func (s *Store) updateInstance(ctx context.Context, q querier, old, now *Instance) error {
	if err := now.validate(); err != nil {
		return err
	}
	if err := s.update(ctx, q, old, now); err != nil || now.RecoveryHash == old.RecoveryHash {
		return err
	}
	var recovery []byte
	if len(now.Recovery) > 0 {
		recovery = bytes.Clone(now.Recovery)
	}
	return affectOne(ctx, q, query{`UPDATE instances SET recovery = $1 WHERE id = $2`, []any{recovery, now.ID[:]}})
}
