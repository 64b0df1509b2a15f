package harden

import (
	"path"
	"slices"
	"strings"
)

// hostUnits are systemd units through which a host or a cloud runs commands,
// writes files, adds keys or sets passwords in the guest.
var hostUnits = slices.Concat(hypervisorUnits, cloudUnits)

// hypervisorUnits lists the guest agents of hypervisors.
var hypervisorUnits = []string{
	"qemu-guest-agent.service", "qemu-ga.service", "ovirt-guest-agent.service",
	"spice-vdagent.service", "spice-vdagentd.service", "spice-vdagentd.socket",
	"open-vm-tools.service", "vmtoolsd.service", "vmware-tools.service", "vgauth.service", "vgauthd.service",
	"virtualbox-guest-utils.service", "vboxservice.service", "vboxadd.service", "vboxadd-service.service",
	// Debian; Fedora; SUSE, Ubuntu and the kernel's own. Azure is one of these hosts.
	"hv-fcopy-daemon.service", "hv-kvp-daemon.service", "hv-vss-daemon.service",
	"hypervfcopyd.service", "hypervkvpd.service", "hypervvssd.service",
	"hv_fcopy_daemon.service", "hv_kvp_daemon.service", "hv_vss_daemon.service", "hv_fcopy_uio_daemon.service",
	"xe-daemon.service", "xe-linux-distribution.service", "xe-guest-utilities.service", "xen-guest-agent.service",
	"lxd-agent.service", "lxd-agent-9p.service", "incus-agent.service", "incus-agent-9p.service",
	"prltoolsd.service", "kata-agent.service",
	"ngt_guest_agent.service", "ngt_self_service_restore.service", "nutanix-guest-agent.service",
}

// cloudUnits lists the agents of clouds, and what asks their metadata services
// for commands or keys.
var cloudUnits = []string{
	"walinuxagent.service", "waagent.service", "azure-init.service", "azure-proxy-agent.service",
	"google-guest-agent.service", "google-guest-agent-manager.service", "google-guest-compat-manager.service",
	"google-osconfig-agent.service", "google-startup-scripts.service", "google-shutdown-scripts.service",
	"google-accounts-daemon.service", "google-instance-setup.service", "google-network-daemon.service",
	"amazon-ssm-agent.service", "snap.amazon-ssm-agent.amazon-ssm-agent.service",
	"ec2-instance-connect.service", "ec2-instance-connect-harvest-hostkeys.service", "hibinit-agent.service",
	"cfn-hup.service", "codedeploy-agent.service",
	"oracle-cloud-agent.service", "oracle-cloud-agent-updater.service",
	"snap.oracle-cloud-agent.oracle-cloud-agent.service", "snap.oracle-cloud-agent.oracle-cloud-agent-updater.service",
	"aliyun.service", "aliyun-service.service", "AssistDaemon.service",
	"tat_agent.service",                                              // Tencent
	"cloudResetPwdAgent.service", "cloudResetPwdUpdateAgent.service", // Huawei
	"droplet-agent.service",      // DigitalOcean
	"scw-fetch-ssh-keys.service", // Scaleway
	"os-collect-config.service",  // OpenStack
	"afterburn.service", "afterburn-sshkeys@.service", "afterburn-checkin.service", "afterburn-firstboot-checkin.service",
	"coreos-metadata.service", "coreos-metadata-sshkeys@.service", "coreos-cloudinit@.service",
	"systemd-imdsd.socket", "systemd-imdsd@.service", "systemd-imds-import.service",
	"cloudbase-init.service", "mdata.service",
}

// hostChannels finds such units that would run.
func hostChannels(r *reader) (all []Finding) {
	for _, unit := range hostUnits {
		if file, ok := started(r, unit); ok {
			all = append(all, Finding{Code: "host-channel", Severity: Critical, Path: file, Detail: unit + " accepts commands from the host", Mended: true})
		}
	}
	return all
}

// started returns the file of a unit that is not masked, or the script of which
// systemd-sysv-generator(8) makes it.
func started(r *reader, unit string) (string, bool) {
	if file, ok := active(r, unit); ok || masked(r, unit) {
		return file, ok
	}
	if name, ok := strings.CutSuffix(unit, ".service"); ok {
		for _, dir := range []string{"etc/init.d", "etc/rc.d/init.d"} {
			if file := path.Join(dir, name); r.exists(file) {
				return file, true
			}
		}
	}
	return "", false
}

// active returns the file of a unit that is there and not masked.
func active(r *reader, unit string) (string, bool) {
	if masked(r, unit) {
		return "", false
	}
	for _, dir := range unitDirs {
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
