package store

import (
	"context"
	"fmt"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// Machine is a guest as it was last seen. What it says of itself is root's word in
// the guest; the image and the release are its report's.
type Machine struct {
	Image       wire.UUID
	ID          wire.UUID // wire.MachineID
	SeenAt      time.Time
	Release     wire.UUID // that it ran then
	Running     string    // release of its kernel; empty before it asked for an update
	Failed      wire.UUID // release that was tried and did not come up, or zero
	Confirmed   wire.UUID // the last release that it confirmed, or zero
	ConfirmedAt time.Time
	Kernels     []MachineKernel // that are installed

	kernelsHash [32]byte
}

const machineColumns = `image_id, machine, seen_at, release_id, running, failed_id, confirmed_id, confirmed_at, kernels_hash`

func (m *Machine) values() []any {
	return []any{
		m.Image[:], m.ID[:], micros(m.SeenAt), m.Release[:], m.Running, m.Failed[:], m.Confirmed[:], micros(m.ConfirmedAt), m.kernelsHash[:],
	}
}

func scanMachine(row scanner) (Machine, error) {
	var m Machine
	err := row.Scan(exactly(m.Image[:]), exactly(m.ID[:]), instant{&m.SeenAt}, exactly(m.Release[:]), &m.Running, exactly(m.Failed[:]),
		exactly(m.Confirmed[:]), instant{&m.ConfirmedAt}, exactly(m.kernelsHash[:]))
	return m, err
}

// ListMachines returns a page of the machines of an image, in the order of their IDs:
// those after the cursor, which is empty or Next of the page before. The error wraps
// ErrCursor.
func (s *Store) ListMachines(ctx context.Context, image wire.UUID, cursor string, limit int) (Page[Machine], error) {
	var after wire.UUID
	if cursor != "" {
		var err error
		if after, err = wire.ParseUUID(cursor); err != nil || after.String() != cursor {
			return Page[Machine]{}, fmt.Errorf("list machines: %w: %.60q", ErrCursor, cursor)
		}
	}
	size := pageSize(limit)
	var page Page[Machine]
	err := s.view(ctx, func(ctx context.Context, q querier) error {
		found, err := collect(ctx, q, query{
			`SELECT ` + machineColumns + ` FROM machines WHERE image_id = $1 AND machine > $2 ORDER BY machine LIMIT $3`, []any{image[:], after[:], size + 1},
		}, scanMachine)
		if err != nil {
			return err
		}
		page = Page[Machine]{Items: found}
		if len(found) > size {
			page = Page[Machine]{Items: found[:size], Next: found[size-1].ID.String()}
		}
		return loadKernels(ctx, q, image, page.Items)
	})
	if err != nil {
		return Page[Machine]{}, fmt.Errorf("list machines: %w", err)
	}
	return page, nil
}

// loadKernels reads the kernels of machines of an image, which are in order.
func loadKernels(ctx context.Context, q querier, image wire.UUID, machines []Machine) error {
	if len(machines) == 0 {
		return nil
	}
	places := map[wire.UUID]*Machine{}
	for i := range machines {
		places[machines[i].ID] = &machines[i]
	}
	_, err := collect(ctx, q, query{
		`SELECT machine, kernel, sha256, newer FROM machine_kernels WHERE image_id = $1 AND machine >= $2 AND machine <= $3 ORDER BY machine, position`,
		[]any{image[:], machines[0].ID[:], machines[len(machines)-1].ID[:]},
	}, func(row scanner) (struct{}, error) {
		var id wire.UUID
		var k MachineKernel
		err := row.Scan(exactly(id[:]), &k.Release, exactly(k.SHA256[:]), &k.Newer)
		if m := places[id]; m != nil {
			m.Kernels = append(m.Kernels, k)
		}
		return struct{}{}, err
	})
	return err
}

// Fleet counts the machines of an image.
type Fleet struct {
	Machines int64
	Releases []ReleaseGuests // the most used first
	Waiting  []WaitingKernel // on most machines first, MaxWaiting at most
}

// ReleaseGuests is how many machines ran a release when they were last seen, and for how
// many it is the last one that they confirmed.
type ReleaseGuests struct {
	Release            wire.UUID
	Running, Confirmed int64
}

// WaitingKernel is a kernel that machines have installed, newer than the one they run,
// and that no release of the image has.
type WaitingKernel struct {
	Kernel   string
	SHA256   [32]byte
	Machines int64
}

// MaxWaiting bounds what guests can fill a page with.
const MaxWaiting = 50

// Fleet returns what is known of the machines of an image.
func (s *Store) Fleet(ctx context.Context, image wire.UUID) (Fleet, error) {
	var fleet Fleet
	err := s.view(ctx, func(ctx context.Context, q querier) (err error) {
		if err := q.QueryRowContext(ctx, `SELECT COUNT(*) FROM machines WHERE image_id = $1`, image[:]).Scan(&fleet.Machines); err != nil {
			return err
		}
		if fleet.Releases, err = collect(ctx, q, query{
			`SELECT release_id, SUM(running), SUM(confirmed) FROM (
				SELECT release_id, 1 AS running, 0 AS confirmed FROM machines WHERE image_id = $1
				UNION ALL SELECT confirmed_id, 0, 1 FROM machines WHERE image_id = $1 AND confirmed_at <> 0) uses
			GROUP BY release_id ORDER BY 2 DESC, release_id LIMIT $2`, []any{image[:], MaxReleases},
		}, func(row scanner) (u ReleaseGuests, err error) {
			err = row.Scan(exactly(u.Release[:]), &u.Running, &u.Confirmed)
			return u, err
		}); err != nil {
			return err
		}
		fleet.Waiting, err = collect(ctx, q, query{
			`SELECT kernel, sha256, COUNT(DISTINCT machine) FROM machine_kernels
			WHERE image_id = $1 AND newer AND NOT EXISTS (SELECT 1 FROM releases WHERE image_id = machine_kernels.image_id AND kernel_sha256 = machine_kernels.sha256)
			GROUP BY kernel, sha256 ORDER BY 3 DESC, kernel, sha256 LIMIT $2`, []any{image[:], MaxWaiting},
		}, func(row scanner) (k WaitingKernel, err error) {
			err = row.Scan(&k.Kernel, exactly(k.SHA256[:]), &k.Machines)
			return k, err
		})
		return err
	})
	if err != nil {
		return Fleet{}, fmt.Errorf("fleet of image %s: %w", image, err)
	}
	return fleet, nil
}

// ReleasesOfKernels returns the releases of an image whose kernels have one of these
// SHA-256, newest first, without their variants; MaxReleases at most.
func (s *Store) ReleasesOfKernels(ctx context.Context, image wire.UUID, kernels [][32]byte) ([]Release, error) {
	if len(kernels) == 0 {
		return nil, nil
	}
	hashes := make([]any, len(kernels))
	for i := range kernels {
		hashes[i] = kernels[i][:]
	}
	var b builder
	b.add("SELECT "+releaseColumns+", mac FROM releases WHERE image_id = ? AND kernel_sha256 IN ", image[:])
	b.list(hashes)
	b.add(" ORDER BY created_at DESC, id DESC")
	var releases []Release
	err := s.view(ctx, func(ctx context.Context, q querier) (err error) {
		releases, err = collect(ctx, q, b.query(), s.scanRelease)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("releases of kernels: %w", err)
	}
	return releases, nil
}
