package harden

import "path"

// powerOffOnFailure is a drop-in for units whose failure leads to emergency.target:
// that has no shell here (the measured command line masks it), and without it systemd
// would go on with a root that is damaged or lacks mounts.
const powerOffOnFailure = "# Written by snpguard: there is no shell to mend it.\n[Unit]\nOnFailure=poweroff.target\n"

// failures has systemd power off when the root cannot be checked, or a file system not
// be mounted.
func failures(r *reader) (edits []Edit) {
	if !r.hasSystemd() {
		return nil
	}
	for _, unit := range []string{"systemd-fsck-root.service", "local-fs.target"} {
		edits = append(edits, Edit{
			Path: path.Join("etc/systemd/system", unit+".d", "50-snpguard.conf"), Mode: 0o644, Content: []byte(powerOffOnFailure),
		})
	}
	return edits
}

// hasSystemd says whether the root's init is systemd.
func (r *reader) hasSystemd() bool {
	return r.exists("usr/lib/systemd/systemd") || r.exists("lib/systemd/systemd")
}
