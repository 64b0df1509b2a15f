package update

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/bundle"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// FS is what a slot is filled from.
type FS = fs.FS

// Options of Update.
type Options struct {
	Check  bool // only ask
	Reboot bool // at once, whatever the settings say
	Again  bool // also to a release that was tried and did not come up
}

// Errors of a bundle that is not the one that the service named.
var (
	errOtherRelease = errors.New("the bundle is of another image or release than the service named")
	errOtherKernel  = errors.New("the bundle's kernel is not the installed one that the service named")
)

// Update asks whether there is a release for this guest, and changes to it: the next
// boot is its trial. The error may wrap service.ErrDenied or status.ErrNone.
func (g *Guest) Update(ctx context.Context, o Options) error {
	if err := g.load(); err != nil {
		return err
	}
	settings, err := ReadSettings(g.Root)
	if err != nil {
		return err
	}
	unlock, err := g.lock()
	if err != nil {
		return err
	}
	defer unlock()
	t, err := readTrial(g.Root)
	if err != nil {
		return err
	}
	kernels, err := Kernels(g.Root)
	if err != nil {
		return err
	}
	asks := wire.UpdateRequest{Machine: g.machine, Running: g.kernel, Kernels: kernels}
	if !o.Again {
		asks.Failed = g.failed(t)
	}
	var answer wire.UpdateAnswer
	at, err := g.session.Call(ctx, wire.CallUpdate, &asks, &answer)
	if err != nil {
		return fmt.Errorf("ask for an update: %w", err)
	}
	g.tell(&asks, &answer)
	if answer.Available == nil || o.Check {
		return nil
	}
	if t.Release == answer.Available.Release && t.Boot == g.boot {
		g.Log("release %s was written already and waits for a reboot", t.Release)
	} else if err := g.install(ctx, at, answer.Available); err != nil {
		return fmt.Errorf("change to release %s: %w", answer.Available.Release, err)
	}
	return g.reboot(ctx, o, settings)
}

// failed returns the release that another boot wrote and that does not run now, or zero.
func (g *Guest) failed(t trial) wire.UUID {
	if t.Boot == g.boot || t.Release == g.release {
		return wire.UUID{}
	}
	return t.Release
}

func (g *Guest) tell(asks *wire.UpdateRequest, answer *wire.UpdateAnswer) {
	if !asks.Failed.IsZero() {
		g.Log("release %s was tried and did not come up; snpguard-agent update --again tries it once more", asks.Failed)
	}
	switch answer.State {
	case wire.UpdateNone:
		g.Log("up to date: release %s, kernel %s", g.release, g.kernel)
	case wire.UpdateAvailable:
		g.Log("available: release %s with the installed kernel %s", answer.Available.Release, answer.Available.Kernel)
	}
	if len(answer.Waiting) > 0 {
		g.Log("waiting for a release with the installed kernel %s", strings.Join(answer.Waiting, ", "))
	}
}

// lock keeps two updates from running at once.
func (g *Guest) lock() (unlock func(), err error) {
	dir := filepath.Join(g.Root, dirState)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, errors.Join(errors.New("another update is running"), f.Close())
	}
	return func() { _ = f.Close() }, nil // nothing was written
}

// install writes the bundle of a release to the slot that is not in use.
func (g *Guest) install(ctx context.Context, at string, a *wire.AvailableRelease) error {
	slots, closeSlots, err := g.Open()
	if err != nil {
		return fmt.Errorf("open the slots: %w", err)
	}
	err = g.fill(ctx, slots, at, a)
	return errors.Join(err, closeSlots())
}

func (g *Guest) fill(ctx context.Context, s Slots, at string, a *wire.AvailableRelease) error {
	if err := g.returnToRunning(s); err != nil {
		return err
	}
	if err := g.removeBundles(); err != nil {
		return err
	}
	dir, err := os.MkdirTemp(filepath.Join(g.Root, dirState), bundlePrefix)
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a copy of what is signed
	if err := g.download(ctx, at, a, dir); err != nil {
		return err
	}
	slot := s.State().Other()
	if err := s.Write(slot, os.DirFS(dir)); err != nil {
		return fmt.Errorf("write slot %s: %w", slot, err)
	}
	if err := s.Switch(slot, true); err != nil {
		return fmt.Errorf("switch to slot %s: %w", slot, err)
	}
	// After the switch: what was not on trial has not failed. Without this note there
	// is no reboot, so that a release that does not come up is not tried for ever.
	if err := (trial{a.Release, g.boot}).write(g.Root); err != nil {
		return err
	}
	g.Log("release %s is in slot %s and on trial at the next launch", a.Release, slot)
	return nil
}

// bundlePrefix begins the names of directories with bundles that come in.
const bundlePrefix = "bundle-"

// removeBundles deletes what an update left that was cut.
func (g *Guest) removeBundles() error {
	left, err := filepath.Glob(filepath.Join(g.Root, dirState, bundlePrefix+"*"))
	for _, dir := range left {
		err = errors.Join(err, os.RemoveAll(dir))
	}
	return err
}

// returnToRunning makes the slot of the release that runs the active one, so that it is
// not the one that is written: after a trial that failed, or when the host has switched.
func (g *Guest) returnToRunning(s Slots) error {
	state := s.State()
	if g.slotRelease(s, state.Active) == g.release || g.slotRelease(s, state.Other()) != g.release {
		return nil
	}
	return s.Switch(state.Other(), false)
}

// room is what a bundle may have besides the files whose size the service names.
const room = 64 << 20

// download fetches a bundle and checks that it is the one that was named.
func (g *Guest) download(ctx context.Context, at string, a *wire.AvailableRelease, dir string) error {
	body, err := g.session.fetch(ctx, at, a.Ticket)
	if err != nil {
		return fmt.Errorf("fetch the bundle: %w", err)
	}
	defer body.Close()
	m, err := bundle.Extract(io.LimitReader(body, a.Size+room), dir, g.session.caller.Identity)
	if err != nil {
		return fmt.Errorf("fetch the bundle: %w", err)
	}
	if m.Image != g.config.ImageID || m.Release != a.Release {
		return errOtherRelease
	}
	for _, f := range m.Files {
		if f.Name == bundle.NameKernel && f.SHA256 == a.SHA256 {
			return nil
		}
	}
	return errOtherKernel
}

// reboot restarts the machine as its owner wants.
func (g *Guest) reboot(ctx context.Context, o Options, s Settings) error {
	switch {
	case o.Reboot:
		return g.Reboot(ctx, RebootNow)
	case s.Reboot == RebootNever:
		g.Log("reboot to change to it")
		return nil
	}
	return g.Reboot(ctx, s.Reboot)
}
