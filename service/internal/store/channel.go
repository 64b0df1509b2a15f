package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// Channel is a stable name for an image and one of its releases.
type Channel struct {
	id   wire.UUID
	Name string
	Target
	ChangedAt time.Time
	ChangedBy string // party
}

// Target is what a channel stands for.
type Target struct {
	Image   wire.UUID
	Release wire.UUID // the zero value for the newest that is approved
}

const channelColumns = `id, name, image_id, release_id, changed_at, changed_by`

func (c *Channel) table() table {
	return table{name: "channels", columns: channelColumns, summed: true}
}

func (c *Channel) values() []any {
	var release []byte
	if !c.Release.IsZero() {
		release = c.Release[:]
	}
	return []any{c.id[:], c.Name, c.Image[:], release, micros(c.ChangedAt), c.ChangedBy}
}

func (s *Store) scanChannel(row scanner) (Channel, error) {
	var c Channel
	var mac []byte
	err := row.Scan(exactly(c.id[:]), &c.Name, exactly(c.Image[:]), maybe(c.Release[:]), instant{&c.ChangedAt}, &c.ChangedBy, &mac)
	if err == nil {
		err = s.genuine(&c, mac)
	}
	return c, err
}

// MaxChannels is how many channels there are at most.
const MaxChannels = 200

// ChannelError is a deletion of what a channel stands for. It wraps ErrChanged.
type ChannelError struct{ Name string }

// Error names the channel and says what to do.
func (e *ChannelError) Error() string {
	return fmt.Sprintf("channel %s names it: move or delete the channel first", e.Name)
}

// Unwrap returns ErrChanged.
func (e *ChannelError) Unwrap() error { return ErrChanged }

// SetChannel makes a channel, or moves one that still has the previous target; nil for
// one that does not exist. The release has to be one of the image. The error wraps
// ErrInvalid, ErrNotFound (image or release) or ErrChanged.
func (s *Store) SetChannel(ctx context.Context, c Channel, previous *Target) error {
	if err := errors.Join(checkName("name", c.Name), checkName("party", c.ChangedBy)); err != nil {
		return fmt.Errorf("set channel: %w", err)
	}
	err := s.inTx(ctx, func(ctx context.Context, q querier) error {
		if err := s.checkTarget(ctx, q, c.Target); err != nil {
			return err
		}
		c.ChangedAt = s.clock()
		old, err := s.lockChannel(ctx, q, c.Name)
		switch {
		case errors.Is(err, ErrNotFound) && previous == nil:
			return s.addChannel(ctx, q, &c)
		case errors.Is(err, ErrNotFound), err == nil && (previous == nil || old.Target != *previous):
			return ErrChanged
		case err != nil:
			return err
		}
		c.id = old.id
		return s.update(ctx, q, &old, &c)
	})
	if err != nil {
		return fmt.Errorf("set channel: %w", err)
	}
	return nil
}

// checkTarget locks the image, so that neither it nor the release is deleted meanwhile.
func (s *Store) checkTarget(ctx context.Context, q querier, t Target) error {
	if _, err := s.lockImage(ctx, q, t.Image); err != nil || t.Release.IsZero() {
		return err
	}
	release, err := s.lockRelease(ctx, q, t.Release)
	if err == nil && release.ImageID != t.Image {
		err = ErrNotFound
	}
	return err
}

func (s *Store) addChannel(ctx context.Context, q querier, c *Channel) error {
	var count int64
	if err := q.QueryRowContext(ctx, `SELECT COUNT(*) FROM channels`).Scan(&count); err != nil {
		return err
	}
	if count >= MaxChannels {
		return invalidf("there are %d channels: no more are taken", count)
	}
	c.id = wire.NewUUID()
	inserted, err := s.insert(ctx, q, c)
	if err == nil && !inserted {
		err = ErrChanged
	}
	return err
}

func (s *Store) lockChannel(ctx context.Context, q querier, name string) (Channel, error) {
	found, err := collect(ctx, q, query{`UPDATE channels SET id = id WHERE name = $1 RETURNING ` + channelColumns + `, mac`, []any{name}}, s.scanChannel)
	if err == nil && len(found) == 0 {
		err = ErrNotFound
	}
	if err != nil {
		return Channel{}, err
	}
	return found[0], nil
}

// DeleteChannel deletes a channel; what it stood for stays. The error wraps ErrNotFound.
func (s *Store) DeleteChannel(ctx context.Context, name string) error {
	err := s.inTx(ctx, func(ctx context.Context, _ querier) error {
		n, err := remove(ctx, s, s.scanChannel, query{"name = $1", []any{name}})
		if err == nil && n == 0 {
			err = ErrNotFound
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("delete channel: %w", err)
	}
	return nil
}

// Channel returns the channel of a name. The error wraps ErrNotFound.
func (s *Store) Channel(ctx context.Context, name string) (Channel, error) {
	found, err := s.listChannels(ctx, query{" WHERE name = $1", []any{name}})
	if err == nil && len(found) == 0 {
		err = fmt.Errorf("channel: %w", ErrNotFound)
	}
	if err != nil {
		return Channel{}, err
	}
	return found[0], nil
}

// Channels returns all channels by name, MaxChannels at most.
func (s *Store) Channels(ctx context.Context) ([]Channel, error) {
	return s.listChannels(ctx, query{text: " ORDER BY name"})
}

func (s *Store) listChannels(ctx context.Context, which query) (all []Channel, err error) {
	err = s.view(ctx, func(ctx context.Context, q querier) error {
		all, err = collect(ctx, q, query{`SELECT ` + channelColumns + `, mac FROM channels` + which.text, which.args}, s.scanChannel)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("channels: %w", err)
	}
	return all, nil
}

// checkNotNamed refuses the deletion of what a channel stands for, by the column that
// names it. The error is a *ChannelError.
func (s *Store) checkNotNamed(ctx context.Context, q querier, column string, id wire.UUID) error {
	found, err := collect(ctx, q, query{`SELECT ` + channelColumns + `, mac FROM channels WHERE ` + column + ` = $1 ORDER BY name`, []any{id[:]}}, s.scanChannel)
	if err != nil || len(found) == 0 {
		return err
	}
	return &ChannelError{found[0].Name}
}
