package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// used is an instance as it was read, under the lock on the end of the log, and as it is
// after the unlocks of a batch.
type used struct{ old, now Instance }

// errNoInstance is a grant for an instance that there is not: a mistake of Unlock.Decide.
var errNoInstance = errors.New("a grant for an instance that does not exist")

// findInstances returns the instances that unlocks name. It asks for nothing when they
// name none.
func (s *Store) findInstances(ctx context.Context, q querier, unlocks []Unlock) (map[wire.UUID]*used, error) {
	var ids []any
	asked := map[wire.UUID]*used{}
	for _, u := range unlocks {
		if u.Claim == nil || u.Instance == nil {
			continue
		}
		if _, again := asked[u.Instance.ID]; !again {
			asked[u.Instance.ID] = nil
			ids = append(ids, u.Instance.ID[:])
		}
	}
	for _, run := range runs(ids) {
		var b builder
		b.add("SELECT " + instanceColumns + ", mac FROM instances WHERE id IN ")
		b.list(run)
		found, err := collect(ctx, q, b.query(), s.scanInstance)
		if err != nil {
			return nil, fmt.Errorf("look for instances: %w", err)
		}
		for _, i := range found {
			asked[i.ID] = &used{i, i}
		}
	}
	return asked, nil
}

// instance returns a copy of the one that a use names as it is now, nil for none.
func (b *batch) instance(use *InstanceUse) *Instance {
	if use == nil || b.instances[use.ID] == nil {
		return nil
	}
	i := b.instances[use.ID].now
	return &i
}

// use makes a boot the latest of its instance, so that a later unlock sees it.
func (b *batch) use(use *InstanceUse) error {
	if use == nil {
		return nil
	}
	i := b.instances[use.ID]
	if i == nil {
		return fmt.Errorf("instance %s: %w", use.ID, errNoInstance)
	}
	i.now.Granted = use.Boot
	i.now.Granted.At = b.now
	return nil
}

// writeUses writes those that were used.
func (s *Store) writeUses(ctx context.Context, q querier, instances map[wire.UUID]*used) error {
	for _, id := range slices.SortedFunc(maps.Keys(instances), func(a, b wire.UUID) int { return bytes.Compare(a[:], b[:]) }) {
		i := instances[id]
		if i == nil || i.now.Granted == i.old.Granted {
			continue
		}
		if err := s.updateInstance(ctx, q, &i.old, &i.now); err != nil {
			return fmt.Errorf("keep boot of instance %s: %w", id, err)
		}
	}
	return nil
}
