package harden

import "path"

// hostUnits lists systemd units through which a host or a cloud runs commands,
// writes files or adds keys in the guest.
func hostUnits() []string {
	return []string{
		"qemu-guest-agent.service",
		"spice-vdagentd.service", "spice-vdagentd.socket",
		"open-vm-tools.service", "vmtoolsd.service", "vgauth.service", "vgauthd.service",
		"virtualbox-guest-utils.service", "vboxservice.service", "vboxadd-service.service",
		"hv-fcopy-daemon.service", "hv-kvp-daemon.service", "hv-vss-daemon.service",
		"hypervfcopyd.service", "hypervkvpd.service", "hypervvssd.service",
		"xe-daemon.service", "xe-linux-distribution.service",
		"lxd-agent.service", "incus-agent.service",
		"walinuxagent.service", "waagent.service",
		"google-guest-agent.service", "google-guest-agent-manager.service", "google-guest-compat-manager.service",
		"google-osconfig-agent.service", "google-startup-scripts.service", "google-shutdown-scripts.service",
		"amazon-ssm-agent.service", "snap.amazon-ssm-agent.amazon-ssm-agent.service", "ec2-instance-connect.service",
		"oracle-cloud-agent.service", "cloudbase-init.service",
	}
}

// hostChannels finds such units that would run.
func hostChannels(r *reader) (all []Finding) {
	for _, unit := range hostUnits() {
		if file, ok := active(r, unit); ok {
			all = append(all, Finding{Code: "host-channel", Severity: Critical, Path: file, Detail: unit + " takes orders from the host", Mended: true})
		}
	}
	return all
}

// active returns the file of a unit that is there and not masked.
func active(r *reader, unit string) (string, bool) {
	if masked(r, unit) {
		return "", false
	}
	for _, dir := range unitDirs() {
		if file := path.Join(dir, unit); r.exists(file) {
			return file, true
		}
	}
	return "", false
}

// masked says whether a unit leads to /dev/null.
func masked(r *reader, unit string) bool {
	return r.leadsNowhere(path.Join("etc/systemd/system", unit))
}
