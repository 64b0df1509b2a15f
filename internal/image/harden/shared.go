package harden

// What all guests of an image would share, and none may.
const (
	machineID     = "etc/machine-id"
	dbusMachineID = "var/lib/dbus/machine-id"
)

// randomSeeds are files that give what was random on the machine of the image's
// maker: of systemd, of sysvinit in Debian, of others.
func randomSeeds() []string {
	return []string{"var/lib/systemd/random-seed", "var/lib/urandom/random-seed", "var/lib/misc/random-seed", "var/lib/random-seed"}
}

// shared takes the machine-id and the seeds out. An empty machine-id is no first
// boot to systemd, and one that is absent could not be mounted over.
func shared(r *reader, o Options) (edits []Edit) {
	if o.MachineID {
		edits = append(edits, Edit{Path: machineID, Mode: 0o444})
		if r.regular(dbusMachineID) {
			edits = append(edits, Edit{Path: dbusMachineID, Remove: true})
		}
	}
	for _, seed := range randomSeeds() {
		if r.exists(seed) {
			edits = append(edits, Edit{Path: seed, Remove: true})
		}
	}
	return edits
}
