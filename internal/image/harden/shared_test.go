package harden_test

import (
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/harden"
)

// TestClock has udev leave the clock as the agent has set it.
func TestClock(t *testing.T) {
	root := debian()
	const mask = "etc/udev/rules.d/85-hwclock.rules"
	if e := edit(t, root, harden.Options{}, mask); e != nil {
		t.Errorf("no rule: %+v", e)
	}
	root["usr/lib/udev/rules.d/85-hwclock.rules"] = file("x")
	if e := edit(t, root, harden.Options{}, mask); e == nil || e.Target != "/dev/null" {
		t.Errorf("a rule: %+v", e)
	}
}

// TestFailures has systemd power off where it would go on without emergency mode.
func TestFailures(t *testing.T) {
	root := debian()
	delete(root, "usr/lib/systemd/systemd")
	for _, unit := range []string{"local-fs.target", "systemd-fsck-root.service"} {
		dropIn := "etc/systemd/system/" + unit + ".d/50-snpguard.conf"
		if e := edit(t, root, harden.Options{}, dropIn); e != nil {
			t.Errorf("without systemd: %+v", e)
		}
		with := debian()
		with["usr/lib/systemd/systemd"] = file("x")
		if e := edit(t, with, harden.Options{}, dropIn); e == nil || !strings.Contains(string(e.Content), "\n[Unit]\nOnFailure=poweroff.target\n") {
			t.Errorf("%s: %+v", unit, e)
		}
	}
}

// TestShared takes out what all guests of an image would share.
func TestShared(t *testing.T) {
	root := debian()
	const id, dbus, seed = "etc/machine-id", "var/lib/dbus/machine-id", "var/lib/systemd/random-seed"
	if e := edit(t, root, harden.Options{MachineID: true}, seed); e != nil {
		t.Errorf("a seed that is not there: %+v", e)
	}
	for _, name := range []string{id, dbus, seed, "var/lib/urandom/random-seed"} {
		root[name] = file("0123456789abcdef0123456789abcdef\n")
	}
	if e := edit(t, root, harden.Options{MachineID: true}, id); e == nil || e.Remove || len(e.Content) != 0 || e.Target != "" || e.Mode != 0o444 {
		t.Errorf("machine-id: %+v", e)
	}
	for _, name := range []string{dbus, seed, "var/lib/urandom/random-seed"} {
		if e := edit(t, root, harden.Options{MachineID: true}, name); e == nil || !e.Remove {
			t.Errorf("%s: %+v", name, e)
		}
	}
	for _, name := range []string{id, dbus} { // nobody would supply another one
		if e := edit(t, root, harden.Options{}, name); e != nil {
			t.Errorf("%s: %+v", name, e)
		}
	}
	root[dbus] = &fstest.MapFile{Data: []byte("/etc/machine-id"), Mode: fs.ModeSymlink | 0o777}
	if e := edit(t, root, harden.Options{MachineID: true}, dbus); e != nil {
		t.Errorf("a link to the other: %+v", e)
	}
}
