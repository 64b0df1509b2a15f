package store

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/audit"
)

// Sighting is a call of a running guest whose report is genuine.
type Sighting struct {
	Nonce          Nonce
	Image, Release wire.UUID // by its report
	Machine        wire.UUID // as the guest says

	// State is what a guest says that asks for an update; nil when it confirms.
	State *MachineState

	// Confirmed is the record of a confirmation. It is written once for a machine and
	// a release.
	Confirmed *audit.Record
}

// MachineState is what a guest says of itself.
type MachineState struct {
	Running string    // release of the running kernel
	Failed  wire.UUID // release of the image that was tried and did not come up, or zero
	Kernels []MachineKernel
}

// MachineKernel is a kernel that is installed in a guest.
type MachineKernel struct {
	Release string // of the kernel
	SHA256  [32]byte
	Newer   bool // than the one that runs, and with its modules
}

// Sighted is what became of a sighting.
type Sighted struct {
	NonceUsed bool // by an earlier call; nothing was kept
	First     bool // confirmation of this release by this machine
}

// RecordSighting keeps what a running guest says, and uses up its nonce. Sightings
// that wait at the same time are committed together. The error wraps ErrInvalid or
// audit.ErrClosed.
func (s *Store) RecordSighting(ctx context.Context, sighting Sighting) (Sighted, error) {
	if err := sighting.check(); err != nil {
		return Sighted{}, fmt.Errorf("record sighting: %w", err)
	}
	done, err := s.sightings.Submit(ctx, sighting)
	if err != nil {
		return Sighted{}, fmt.Errorf("record sighting: %w", err)
	}
	return done, nil
}

func (v *Sighting) check() error {
	if v.Machine.IsZero() || v.Image.IsZero() || v.Release.IsZero() {
		return invalidf("sighting of no machine, image or release")
	}
	if v.State == nil {
		return nil
	}
	if len(v.State.Kernels) > wire.MaxKernels {
		return invalidf("%d kernels", len(v.State.Kernels))
	}
	if err := checkName("running kernel", v.State.Running); err != nil {
		return err
	}
	for _, k := range v.State.Kernels {
		if err := checkName("kernel", k.Release); err != nil {
			return err
		}
	}
	return nil
}

// hash tells lists of kernels apart.
func (m *MachineState) hash() [32]byte {
	h := sha256.New()
	for _, k := range m.Kernels {
		h.Write(binary.BigEndian.AppendUint32(nil, uint32(len(k.Release))))
		fmt.Fprintf(h, "%s%x%t", k.Release, k.SHA256, k.Newer)
	}
	return [32]byte(h.Sum(nil))
}

// machineKey names a row.
type machineKey struct{ image, machine wire.UUID }

func (k machineKey) compare(o machineKey) int {
	return cmp.Or(bytes.Compare(k.image[:], o.image[:]), bytes.Compare(k.machine[:], o.machine[:]))
}

// fleetBatch is the sightings of one transaction, with the rows that they change.
type fleetBatch struct {
	images   map[wire.UUID]bool // that there are
	machines map[machineKey]*Machine
	added    map[wire.UUID]bool // images that have a machine more
	kernels  map[machineKey][]MachineKernel
	records  []audit.Record
}

// commitSightings writes a batch in one transaction.
func (s *Store) commitSightings(ctx context.Context, sightings []Sighting) ([]Sighted, error) {
	now := s.clock()
	prune := now.Sub(s.swept) >= pruneEvery
	var done []Sighted
	err := s.inTx(ctx, func(ctx context.Context, q querier) (err error) {
		if done, err = s.recordSightings(ctx, q, sightings); err != nil || !prune {
			return err
		}
		return pruneNonces(ctx, q, now)
	})
	if err == nil && prune {
		s.swept = now
	}
	return done, err
}

func (s *Store) recordSightings(ctx context.Context, q querier, sightings []Sighting) ([]Sighted, error) {
	nonces := make([]*Nonce, len(sightings))
	for i := range sightings {
		nonces[i] = &sightings[i].Nonce
	}
	fresh, err := useNonces(ctx, q, nonces)
	if err != nil {
		return nil, err
	}
	b, err := s.gatherFleet(ctx, q, sightings)
	if err != nil {
		return nil, err
	}
	done := make([]Sighted, len(sightings))
	for i := range sightings {
		if !fresh[i] {
			done[i].NonceUsed = true
			continue
		}
		done[i].First = b.add(&sightings[i], s)
	}
	return done, s.writeFleet(ctx, q, b)
}

// add applies a sighting to the batch, and reports whether it confirms a release for
// the first time. One of an image that was deleted is forgotten.
func (b *fleetBatch) add(v *Sighting, s *Store) (first bool) {
	if !b.images[v.Image] {
		return false
	}
	key := machineKey{v.Image, v.Machine}
	m := b.machines[key]
	if m == nil {
		m = &Machine{Image: v.Image, ID: v.Machine}
		b.machines[key], b.added[v.Image] = m, true
	}
	m.SeenAt, m.Release = s.clock(), v.Release
	if v.State != nil {
		m.Running, m.Failed = v.State.Running, v.State.Failed
		if hash := v.State.hash(); hash != m.kernelsHash {
			m.kernelsHash, b.kernels[key] = hash, v.State.Kernels
		}
	}
	if v.Confirmed == nil {
		return false
	}
	first = m.Confirmed != v.Release
	m.Confirmed, m.ConfirmedAt = v.Release, s.clock()
	if first {
		b.records = append(b.records, *v.Confirmed)
	}
	return first
}

// gatherFleet looks up the rows that sightings change.
func (s *Store) gatherFleet(ctx context.Context, q querier, sightings []Sighting) (*fleetBatch, error) {
	b := &fleetBatch{
		images: map[wire.UUID]bool{}, machines: map[machineKey]*Machine{}, added: map[wire.UUID]bool{}, kernels: map[machineKey][]MachineKernel{},
	}
	wanted, images := map[machineKey]bool{}, map[wire.UUID]bool{}
	for i := range sightings {
		wanted[machineKey{sightings[i].Image, sightings[i].Machine}], images[sightings[i].Image] = true, true
	}
	var ids []any
	for id := range images {
		ids = append(ids, bytes.Clone(id[:]))
	}
	for _, run := range runs(ids) {
		var ask builder
		ask.add("SELECT id FROM images WHERE id IN ")
		ask.list(run)
		if _, err := collect(ctx, q, ask.query(), func(row scanner) (struct{}, error) {
			var id wire.UUID
			err := row.Scan(exactly(id[:]))
			b.images[id] = true
			return struct{}{}, err
		}); err != nil {
			return nil, err
		}
	}
	var keys [][]any
	for _, k := range slices.SortedFunc(maps.Keys(wanted), machineKey.compare) {
		keys = append(keys, []any{k.image[:], k.machine[:]})
	}
	for _, run := range runs(keys) {
		var ask builder
		ask.add("SELECT " + machineColumns + " FROM machines WHERE FALSE")
		for _, k := range run {
			ask.add(" OR image_id = ? AND machine = ?", k...)
		}
		found, err := collect(ctx, q, ask.query(), scanMachine)
		if err != nil {
			return nil, err
		}
		for i := range found {
			b.machines[machineKey{found[i].Image, found[i].ID}] = &found[i]
		}
	}
	return b, nil
}

// writeFleet writes what a batch changed, in the order of the keys, so that two
// replicas do not wait for each other.
func (s *Store) writeFleet(ctx context.Context, q querier, b *fleetBatch) error {
	var rows [][]any
	for _, k := range slices.SortedFunc(maps.Keys(b.machines), machineKey.compare) {
		rows = append(rows, b.machines[k].values())
	}
	for _, run := range runs(rows) {
		var ask builder
		ask.add("INSERT INTO machines (" + machineColumns + ") VALUES ")
		ask.rows(run)
		ask.add(` ON CONFLICT (image_id, machine) DO UPDATE SET seen_at = excluded.seen_at, release_id = excluded.release_id,
			running = excluded.running, failed_id = excluded.failed_id, confirmed_id = excluded.confirmed_id,
			confirmed_at = excluded.confirmed_at, kernels_hash = excluded.kernels_hash`)
		done := ask.query()
		if _, err := q.ExecContext(ctx, done.text, done.args...); err != nil {
			return fmt.Errorf("keep machines: %w", err)
		}
	}
	if err := writeKernels(ctx, q, b.kernels); err != nil {
		return fmt.Errorf("keep kernels: %w", err)
	}
	for image := range b.added {
		if err := s.forgetMachines(ctx, q, image); err != nil {
			return fmt.Errorf("forget machines: %w", err)
		}
	}
	return s.appendConfirmations(ctx, q, b.records)
}

// writeKernels replaces the lists of machines, whose rows are locked.
func writeKernels(ctx context.Context, q querier, lists map[machineKey][]MachineKernel) error {
	var keys, rows [][]any
	for _, k := range slices.SortedFunc(maps.Keys(lists), machineKey.compare) {
		keys = append(keys, []any{k.image[:], k.machine[:]})
		for i, kernel := range lists[k] {
			rows = append(rows, []any{k.image[:], k.machine[:], int64(i), kernel.Release, kernel.SHA256[:], kernel.Newer})
		}
	}
	for _, run := range runs(keys) {
		var ask builder
		ask.add("DELETE FROM machine_kernels WHERE FALSE")
		for _, k := range run {
			ask.add(" OR image_id = ? AND machine = ?", k...)
		}
		done := ask.query()
		if _, err := q.ExecContext(ctx, done.text, done.args...); err != nil {
			return err
		}
	}
	for _, run := range runs(rows) {
		var ask builder
		ask.add("INSERT INTO machine_kernels (image_id, machine, position, kernel, sha256, newer) VALUES ")
		ask.rows(run)
		done := ask.query()
		if _, err := q.ExecContext(ctx, done.text, done.args...); err != nil {
			return err
		}
	}
	return nil
}

// forgetMachines deletes the machines of an image that were not seen for longest,
// until there are no more than the most.
func (s *Store) forgetMachines(ctx context.Context, q querier, image wire.UUID) error {
	var n int64
	if err := q.QueryRowContext(ctx, `SELECT COUNT(*) FROM machines WHERE image_id = $1`, image[:]).Scan(&n); err != nil || n <= s.maxMachines {
		return err
	}
	_, err := q.ExecContext(ctx, `DELETE FROM machines WHERE image_id = $1 AND machine IN
		(SELECT machine FROM machines WHERE image_id = $1 ORDER BY seen_at, machine LIMIT $2)`, image[:], n-s.maxMachines)
	return err
}

// appendConfirmations writes records of guests.
func (s *Store) appendConfirmations(ctx context.Context, q querier, records []audit.Record) error {
	if len(records) == 0 {
		return nil
	}
	at, err := s.lockEnd(ctx, q)
	if err != nil {
		return err
	}
	for i := range records {
		records[i].Kind, records[i].Outcome, records[i].Time = audit.KindGuest, audit.OutcomeDone, s.clock()
		if records[i], err = records[i].Checked(); err != nil {
			return err
		}
	}
	_, err = s.appendRecords(ctx, q, at, records)
	return err
}
