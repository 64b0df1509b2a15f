// Package boot is the agent as PID 1 of the initrd, before any code of the
// distribution: it attests this boot, gets the volume key, opens the root and
// starts the system's init there. Each step is a file here. distribution.go is for
// an initrd that holds more than the agent: its own /init goes on instead.
//
// There is no shell and no way on after a failure: its reason goes to the
// kernel's log and thus to the console, and the machine is powered off.
package boot

import (
	"context"
	"fmt"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/dmcrypt"
	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/instance"
	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/netup"
	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/retry"
	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/rootdisk"
	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/timeline"
	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/unlock"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/bootconf"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// Boot is one boot. Each step leaves what the next ones need.
type Boot struct {
	Log     *timeline.Log
	Version string // of the agent
	Machine Machine

	mounts *mountSet
	config *bootconf.Config
	root   *rootdisk.Partition
	sealed []byte // sealed volume key, from the disk; zeros when it is lost
	net    *netup.Net

	shown      instance.Shown // of the instance that the launch names, on the disk
	session    *unlock.Session
	grant      *unlock.Result
	key        []byte // that opens the root; one of the grant's, or that of a first boot
	state      wire.InstanceState
	generation uint64

	device   dmcrypt.Device
	deadline *deadline
	paused   time.Duration // of the deadline
}

// Step is a part of the boot with a name for the log.
type Step struct {
	Name string
	Do   func(context.Context) error
}

// unlocking are the steps up to the keys, in their order.
func (b *Boot) unlocking() []Step {
	return []Step{
		{"mounts", b.mountBase},
		{"config", b.readConfig},
		{"modules", b.loadModules},
		{"disk", b.findRoot},
		{"network", b.networkUp},
		{"unlock", b.unlock},
	}
}

// opening are the steps from there to the open root. That of an instance comes under its
// own key first, or has its generation raised last: no system runs before.
func (b *Boot) opening() []Step {
	steps := []Step{{"crypt", b.openRoot}, {"filesystem", b.checkFilesystem}}
	switch b.grant.State {
	case wire.StateNew, wire.StateClaimed:
		steps = append([]Step{{"instance", b.firstBoot}}, steps...)
	case wire.StateReady:
		steps = append(steps, Step{"generation", b.raiseGeneration})
	}
	return append(steps, Step{"clock", b.setClock})
}

// starting are the steps from there to the system.
func (b *Boot) starting() []Step {
	if b.config.Initrd == bootconf.InitrdDistribution {
		return []Step{{"hand-over", b.handOver}}
	}
	return []Step{{"root", b.mountRoot}, {"hand-over", b.switchRoot}}
}

// Run does all steps. It returns only when one has failed and been logged.
func (b *Boot) Run() {
	lock()
	defer b.wipe()
	_ = b.runSteps(b.unlocking()) && b.runSteps(b.opening()) && b.runSteps(b.starting())
}

// wipe wipes the keys of the root.
func (b *Boot) wipe() {
	clear(b.key)
	if b.grant != nil {
		b.grant.Wipe()
	}
}

// runSteps does steps until one fails, and says whether none has. The deadline counts from the start, once
// the configuration that names it has been read.
func (b *Boot) runSteps(steps []Step) bool {
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	limited := false
	for _, s := range steps {
		if b.config != nil && !limited {
			limited = true
			b.deadline = b.limit(cancel)
			defer b.deadline.timer.Stop()
		}
		if err := b.Log.Run(s.Name, func() error { return overseen(ctx, s) }); err != nil {
			b.Log.Fail(s.Name, err)
			return false
		}
	}
	return true
}

// stuckAfter is how long a step may still take when the deadline has passed.
const stuckAfter = 10 * time.Second

// overseen does not wait for ever for a step that the kernel holds, such as one that
// reads from a disk that never answers.
func overseen(ctx context.Context, s Step) error {
	ended := make(chan error, 1)
	go func() { ended <- guarded(ctx, s) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	select {
	case err := <-ended:
		return err
	case <-time.After(stuckAfter):
		return fmt.Errorf("%w, and the kernel does not return", context.Cause(ctx))
	}
}

// guarded turns a panic into an error: PID 1 may not just end.
func guarded(ctx context.Context, s Step) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("internal error: %v", p)
		}
	}()
	return s.Do(ctx)
}

// soon is how a device that has yet to appear is waited for.
func soon() retry.Backoff { return retry.Backoff{First: 50 * time.Millisecond, Max: time.Second} }
