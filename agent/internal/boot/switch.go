package boot

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/status"
	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/timeline"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/bootconf"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// inits are where a system has its first program, in the order in which they are
// tried.
func inits() []string { return []string{"/sbin/init", "/lib/systemd/systemd"} }

// initEnvironment is what init is started with, whatever words of the command line
// the kernel took for variables.
func initEnvironment() []string {
	return []string{"HOME=/", "TERM=linux", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
}

// switchRoot makes the mounted root the machine's and becomes its init, without
// arguments: there is no shell and no other program.
func (b *Boot) switchRoot(context.Context) error {
	if err := b.net.Down(); err != nil {
		return fmt.Errorf("take the network down: %w", err)
	}
	if err := b.leaveInRun(); err != nil {
		return err
	}
	if err := b.enterRoot(); err != nil {
		return err
	}
	if err := b.checkModules(); err != nil {
		return err
	}
	if err := b.supplyMachineID(); err != nil {
		return fmt.Errorf("supply a machine-id: %w", err)
	}
	b.Log.Printf("hand-over", "to the system's init after %s", timeline.Text(b.Log.Steps()))
	var failed []error
	for _, init := range inits() {
		failed = append(failed, b.Machine.Exec(init, []string{init}, initEnvironment()))
	}
	return errors.Join(failed...)
}

// leaveInRun leaves what the running system has of this boot: how it was attested, what
// signs the calls of an instance, and the agent that is of the same age as its
// configuration.
func (b *Boot) leaveInRun() error {
	if err := b.status().Write(b.Machine.at(status.Path)); err != nil {
		return err
	}
	if b.state != wire.StateNone {
		if err := status.LeaveBootKey(b.Machine.Root, b.session.BootKey()); err != nil {
			return err
		}
	}
	return status.Leave(b.Machine.Root)
}

// enterRoot deletes what the initrd holds, takes the kernel's file systems over and
// makes the root "/".
func (b *Boot) enterRoot() error {
	if err := b.emptyInitrd(); err != nil {
		return err
	}
	for _, dir := range []string{dirDev, dirProc, dirSys, dirRun} {
		if err := b.Machine.Mounts.Mount(dir, filepath.Join(dirRoot, dir), "", unix.MS_MOVE, ""); err != nil {
			return fmt.Errorf("move %s into the root: %w", dir, err)
		}
	}
	return b.Machine.Enter(dirRoot)
}

// emptyInitrd removes all but the places of mounts: nothing could free its memory
// later.
func (b *Boot) emptyInitrd() error {
	entries, err := os.ReadDir(b.Machine.Root)
	if err != nil {
		return fmt.Errorf("empty the initrd: %w", err)
	}
	for _, e := range entries {
		switch "/" + e.Name() {
		case dirDev, dirProc, dirSys, dirRun, dirRoot:
			continue
		}
		if err := os.RemoveAll(b.Machine.at(e.Name())); err != nil {
			return fmt.Errorf("empty the initrd: %w", err)
		}
	}
	return nil
}

// errNoModules is a root without the modules of the kernel that runs.
var errNoModules = errors.New("the root does not have the modules of this kernel: the system might come up without its firewall; install them in the image, or convert it with --optional-modules")

// checkModules wants the modules directory of the kernel that runs.
func (b *Boot) checkModules() error {
	release, err := b.Machine.Release()
	if err != nil {
		return fmt.Errorf("read the kernel's release: %w", err)
	}
	if b.config.Modules == bootconf.ModulesOptional {
		return nil
	}
	dir := filepath.Join("/lib/modules", release)
	if info, err := os.Stat(b.Machine.at(dir)); err != nil || !info.IsDir() {
		return fmt.Errorf("%s: %w", dir, errNoModules)
	}
	return nil
}
