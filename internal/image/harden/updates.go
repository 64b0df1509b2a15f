package harden

import (
	"path"
	"strings"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/bootconf"
)

// Where systemd reads the units of updates, and the file that tells them of a kernel.
const (
	dirUnits     = "etc/systemd/system"
	pathStamp    = "var/lib/snpguard/kernel-installed"
	bootComplete = "boot-complete.target"
)

// Units that ask for updates and confirm a boot (docs/updates.md). They run the agent
// of this boot. The times are counted by the kernel: the clock is the host's.
const (
	unitUpdate = `# Written by snpguard.
[Unit]
Description=Ask for a newer SnpGuard release
ConditionPathExists=` + bootconf.PathRunConfig + `
Wants=network-online.target
After=network-online.target

[Service]
Type=oneshot
ExecStart=` + bootconf.PathRunAgent + ` update
`
	unitTimer = `# Written by snpguard.
[Unit]
Description=Ask for a newer SnpGuard release every day

[Timer]
OnBootSec=10min
OnUnitInactiveSec=1d
RandomizedDelaySec=1h

[Install]
WantedBy=timers.target
`
	unitPath = `# Written by snpguard.
[Unit]
Description=Ask for a newer SnpGuard release when a kernel was installed

[Path]
PathChanged=/` + pathStamp + `

[Install]
WantedBy=multi-user.target
`
	unitConfirm = `# Written by snpguard.
[Unit]
Description=Confirm the SnpGuard release that has booted
ConditionPathExists=` + bootconf.PathRunConfig + `
Requires=boot-complete.target
Wants=network-online.target
After=boot-complete.target multi-user.target network-online.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=` + bootconf.PathRunAgent + ` confirm
Restart=on-failure
RestartSec=60

[Install]
WantedBy=multi-user.target
`
)

// updates puts the units of updates into a root with systemd, enabled, and the hook that
// tells them of a kernel.
func updates(r *reader, o Options) []Edit {
	if !o.Updates || !r.hasSystemd() {
		return []Edit{{Path: pathKernelHook, Mode: 0o755, Content: []byte(kernelHook)}}
	}
	confirm := unitConfirm
	if !r.exists("usr/lib/systemd/system/"+bootComplete) && !r.exists("lib/systemd/system/"+bootComplete) {
		confirm = strings.Replace(strings.Replace(confirm, "Requires="+bootComplete+"\n", "", 1), bootComplete+" ", "", 1) // systemd before 240
	}
	edits := []Edit{{Path: pathKernelHook, Mode: 0o755, Content: []byte(updateHook)}}
	for _, u := range []struct{ name, content, wantedBy string }{
		{"snpguard-update.service", unitUpdate, ""},
		{"snpguard-update.timer", unitTimer, "timers.target"},
		{"snpguard-update.path", unitPath, "multi-user.target"},
		{"snpguard-confirm.service", confirm, "multi-user.target"},
	} {
		edits = append(edits, Edit{Path: path.Join(dirUnits, u.name), Mode: 0o644, Content: []byte(u.content)})
		if u.wantedBy != "" {
			edits = append(edits, Edit{Path: path.Join(dirUnits, u.wantedBy+".wants", u.name), Target: path.Join("/", dirUnits, u.name)})
		}
	}
	return edits
}

// kernelHook runs when a kernel is installed in a guest that does not update itself.
const kernelHook = `#!/bin/sh
# This guest boots the kernel that was measured for its release.
echo "snpguard: Linux $1 is installed, but this guest goes on booting the kernel it was registered with;" >&2
echo "snpguard: launch it with a release of the image that has the new kernel." >&2
exit 0
`

// updateHook runs when a kernel is installed, after all else of that.
const updateHook = `#!/bin/sh
# This guest boots the kernel that was measured for its release.
mkdir -p -m 0700 /var/lib/snpguard && echo "$1" >/` + pathStamp + `
echo "snpguard: Linux $1 is installed. This guest changes to it once a release with it is approved:" >&2
echo "snpguard: see snpguard-agent update --check." >&2
exit 0
`
