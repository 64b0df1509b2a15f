package harden_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/harden"
)

// TestUpdateUnits wants the units that a guest changes to newer releases by, enabled.
func TestUpdateUnits(t *testing.T) {
	const dir = "etc/systemd/system/"
	root := debian()
	root["usr/lib/systemd/systemd"] = file("")
	root["usr/lib/systemd/system/boot-complete.target"] = file("")
	o := harden.Options{Updates: true}
	for unit, want := range map[string][]string{
		"snpguard-update.service":  {"ExecStart=/run/snpguard/agent update\n", "ConditionPathExists=/run/snpguard/config.json\n"},
		"snpguard-update.timer":    {"OnUnitInactiveSec=1d\n", "RandomizedDelaySec="},
		"snpguard-update.path":     {"PathChanged=/var/lib/snpguard/kernel-installed\n"},
		"snpguard-confirm.service": {"ExecStart=/run/snpguard/agent confirm\n", "Requires=boot-complete.target\n", "After=boot-complete.target multi-user.target", "Restart=on-failure"},
	} {
		e := edit(t, root, o, dir+unit)
		if e == nil || e.Mode != 0o644 {
			t.Fatalf("%s: %+v", unit, e)
		}
		for _, line := range want {
			if !strings.Contains(string(e.Content), line) {
				t.Errorf("%s has no %q:\n%s", unit, line, e.Content)
			}
		}
	}
	for link, unit := range map[string]string{
		"timers.target.wants/": "snpguard-update.timer", "multi-user.target.wants/": "snpguard-confirm.service",
	} {
		if e := edit(t, root, o, dir+link+unit); e == nil || e.Target != "/etc/systemd/system/"+unit {
			t.Errorf("%s: %+v", unit, e)
		}
	}
	if e := edit(t, root, o, dir+"multi-user.target.wants/snpguard-update.path"); e == nil {
		t.Error("the path unit is not enabled")
	}
	delete(root, "usr/lib/systemd/system/boot-complete.target")
	if e := edit(t, root, o, dir+"snpguard-confirm.service"); strings.Contains(string(e.Content), "boot-complete") {
		t.Errorf("a target that is missing is required:\n%s", e.Content)
	}
	// The host's start-up and the conversion of another kind leave no units.
	for name, o := range map[string]harden.Options{"distribution's initrd": {}, "no systemd": {Updates: true}} {
		if name == "no systemd" {
			delete(root, "usr/lib/systemd/systemd")
		}
		if e := edit(t, root, o, dir+"snpguard-update.service"); e != nil {
			t.Errorf("%s: %+v", name, e)
		}
		if e := edit(t, root, o, "etc/kernel/postinst.d/zz-snpguard"); e == nil || strings.Contains(string(e.Content), "kernel-installed") {
			t.Errorf("%s: the hook is %+v", name, e)
		}
	}
}

// TestKernelHooks runs the hook as a kernel's package does.
func TestKernelHooks(t *testing.T) {
	root := debian()
	root["usr/lib/systemd/systemd"] = file("")
	dir := t.TempDir()
	for name, o := range map[string]harden.Options{"old": {}, "update": {Updates: true}} {
		script := strings.ReplaceAll(string(edit(t, root, o, "etc/kernel/postinst.d/zz-snpguard").Content), "/var/lib/snpguard", dir+"/"+name)
		out, err := exec.CommandContext(t.Context(), "sh", "-e", "-c", script, "hook", "6.13.1").CombinedOutput()
		if err != nil || !strings.Contains(string(out), "Linux 6.13.1 is installed") {
			t.Errorf("%s: %v, %s", name, err, out)
		}
	}
	if stamp, err := os.ReadFile(filepath.Join(dir, "update/kernel-installed")); err != nil || string(stamp) != "6.13.1\n" {
		t.Errorf("stamp %q, %v", stamp, err)
	}
}
