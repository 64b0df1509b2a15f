package main

import (
	"github.com/spf13/cobra"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/embed"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/launch"
)

// checkRestart settles what --restart is by default: whatever is launched anew has to be
// chosen anew, and has to find what the guest has written.
func (o *launchOptions) checkRestart() error {
	fixed := o.bundle != "" || o.extract != "" || o.snapshot
	switch {
	case o.trials < 1:
		return usageErrorf("--trials: %d, want at least 1", o.trials)
	case o.restart == "" && fixed:
		o.restart = restartNo
	case o.restart == "":
		o.restart = restartOnReboot
	case o.restart != restartNo && o.restart != restartOnReboot:
		return usageErrorf("--restart: %q, want %s or %s", o.restart, restartOnReboot, restartNo)
	case o.restart == restartOnReboot && (o.extract != "" || o.prints()):
		return usageErrorf("--restart %s cannot be used with --extract, --dry-run or --format libvirt", restartOnReboot)
	}
	return nil
}

// again reports whether the guest is launched anew: after a reset, and after a panic of
// a slot on trial. A kernel with panic=1 resets after a panic.
func (o *launchOptions) again(cmd *cobra.Command, ending launch.Ending) (bool, error) {
	if o.restart != restartOnReboot || o.prints() {
		return false, nil
	}
	if ending != launch.EndedPanic || o.bundle != "" {
		return ending == launch.EndedReset, nil
	}
	a, err := embed.Open(cmd.Context(), o.disk)
	if err != nil {
		return false, err
	}
	return a.State.Trial, a.Close()
}

// choose returns the name of the slot to launch from, and counts this launch of a slot
// on trial. Where nothing is written to the disk the active slot is taken, uncounted.
func (o *launchOptions) choose(cmd *cobra.Command) (string, error) {
	if o.prints() || o.snapshot {
		a, err := embed.Open(cmd.Context(), o.disk)
		if err != nil {
			return "", err
		}
		if a.State.Trial {
			note(cmd, "snpguard: slot %s is on trial; this launch is not counted, because nothing is written to the disk", a.State.Active)
		}
		return a.State.Active, a.Close()
	}
	c, err := embed.Choose(cmd.Context(), o.disk, o.trials)
	switch {
	case err != nil:
		return "", err
	case c.Failed != "":
		note(cmd, "snpguard: slot %s was not confirmed (launches: %d); returning to slot %s", c.Failed, o.trials, c.Active)
	case c.Trial:
		note(cmd, "snpguard: slot %s is on trial, launch %d of %d", c.Active, c.Launches, o.trials)
	}
	return c.Active, nil
}
