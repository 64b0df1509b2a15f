package harden

import (
	"io/fs"
	"path"
	"slices"
	"strings"
)

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
	target, err := fs.ReadLink(r.fsys, path.Join("etc/systemd/system", unit))
	return err == nil && target == "/dev/null"
}

// cloudInit finds data sources that are open to the host: all but None.
func cloudInit(r *reader, o Options) []Finding {
	if !hasCloudInit(r) || r.exists("etc/cloud/cloud-init.disabled") {
		return nil
	}
	file, sources := dataSources(r)
	if len(sources) > 0 && !slices.ContainsFunc(sources, openSource) {
		return nil
	}
	detail := "cloud-init asks every data source it knows, so the host can run commands as root"
	if len(sources) > 0 {
		detail = "cloud-init takes orders from " + printable(strings.Join(sources, ", "))
	}
	mended := o.CloudInit != CloudInitKeep && !slices.ContainsFunc(o.dataSources(), openSource)
	return []Finding{{Code: "cloud-init", Severity: Critical, Path: file, Detail: detail, Mended: mended}}
}

// hasCloudInit says whether cloud-init may run: it does without cloud.cfg, too,
// and asks everybody then.
func hasCloudInit(r *reader) bool {
	return r.exists("etc/cloud/cloud.cfg") || r.exists("usr/bin/cloud-init")
}

func openSource(name string) bool { return name != "None" }

// dataSources returns the list that counts, of the file that sorts last, and
// that file. It reads "datasource_list: [ A, B ]" on one line and the list in
// lines of its own.
func dataSources(r *reader) (file string, sources []string) {
	file = "etc/cloud/cloud.cfg"
	for _, f := range append([]string{file}, r.list("etc/cloud/cloud.cfg.d", ".cfg")...) {
		lines := r.lines(f)
		for i, line := range lines {
			list, ok := strings.CutPrefix(line, "datasource_list:")
			if !ok {
				continue
			}
			file, sources = f, strings.FieldsFunc(list, func(c rune) bool { return strings.ContainsRune("[], \t'\"", c) })
			for _, item := range lines[i+1:] {
				name, ok := strings.CutPrefix(item, "- ")
				if !ok {
					break
				}
				sources = append(sources, strings.Trim(strings.TrimSpace(name), `'"`))
			}
		}
	}
	return file, sources
}
