package instance

import (
	"context"
	"errors"
	"fmt"

	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/guestcall"
	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/reencrypt"
	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/unlock"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/disk/instancedisk"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/bootconf"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// Boot is what the boots of an instance share.
type Boot struct {
	Config *bootconf.Config
	Grant  *unlock.Result
	Shown  Shown            // what the unlock was granted for
	Device reencrypt.Device // the root partition

	// Call makes a call of this boot, until it is answered or denied.
	Call func(ctx context.Context, kind wire.Call, body any, out guestcall.Answer) (guestcall.Call, error)
	Log  func(format string, args ...any)
}

// Errors of a boot of an instance.
var (
	errAnswer     = errors.New("the answer is about another instance, or another generation")
	errGeneration = errors.New("the disk has a newer generation than the service was shown")
)

func (b *Boot) id() instancedisk.ID {
	return instancedisk.ID{Image: b.Config.ImageID, Instance: b.Grant.Instance}
}

// write writes a record and makes it durable.
func (b *Boot) write(at int64, record []byte) error {
	if _, err := b.Device.WriteAt(record, at); err != nil {
		return err
	}
	if err := b.Device.Flush(); err != nil {
		return fmt.Errorf("flush disk: %w", err)
	}
	return nil
}

// writeGeneration writes a generation into one of the two places.
func (b *Boot) writeGeneration(volumeKey []byte, number uint64, place int) error {
	if number >= wire.MaxGeneration {
		return fmt.Errorf("generation %d is too high", number)
	}
	mac, err := wire.GenerationMAC(volumeKey, b.Config.ImageID, b.Grant.Instance, number)
	if err != nil {
		return err
	}
	return b.write(instancedisk.GenerationAt(place), instancedisk.EncodeGeneration(b.id(), instancedisk.Generation{Number: number, MAC: mac}))
}

// check wants an answer about this instance as it is after the call.
func (b *Boot) check(a wire.InstanceAnswer, generation uint64) error {
	if a.Instance != b.Grant.Instance || a.Generation != generation {
		return fmt.Errorf("%w: instance %s, generation %d", errAnswer, a.Instance, a.Generation)
	}
	return nil
}

// Later is a boot of a ready instance.
type Later struct{ Boot }

// Run writes the next generation into the place of the older one, and commits it with
// the service. It returns the generation of this boot.
func (l *Later) Run(ctx context.Context) (uint64, error) {
	newest, place := l.Shown.newest(l.Grant.Volume, l.Config.ImageID, l.Grant.Instance)
	if newest > l.Grant.Generation {
		return 0, fmt.Errorf("%w: %d, and %d was granted", errGeneration, newest, l.Grant.Generation)
	}
	next := l.Grant.Generation + 1
	if err := l.writeGeneration(l.Grant.Volume, next, place); err != nil {
		return 0, fmt.Errorf("write generation %d: %w", next, err)
	}
	var answer wire.InstanceAnswer
	if _, err := l.Call(ctx, wire.CallCommit, &wire.CommitRequest{Generation: next}, &answer); err != nil {
		return 0, fmt.Errorf("commit generation %d: %w", next, err)
	}
	if err := l.check(answer, next); err != nil {
		return 0, fmt.Errorf("commit generation %d: %w", next, err)
	}
	l.Log("generation %d", next)
	return next, nil
}
