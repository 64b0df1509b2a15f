package harden

import "path"

// clockRule has udev set the clock from the machine's own in systems without systemd
// (Debian's util-linux-extra). That one is the host's, and the agent has set the
// clock to the service's time before.
const clockRule = "85-hwclock.rules"

// clock hides the rule by one of the same name that udev reads in its place.
func clock(r *reader) []Edit {
	for _, dir := range []string{"usr/lib/udev/rules.d", "lib/udev/rules.d"} {
		if r.exists(path.Join(dir, clockRule)) {
			return []Edit{{Path: path.Join("etc/udev/rules.d", clockRule), Target: "/dev/null"}}
		}
	}
	return nil
}
