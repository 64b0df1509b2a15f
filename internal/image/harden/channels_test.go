package harden_test

import (
	"slices"
	"testing"
	"testing/fstest"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/harden"
)

// Agents of hypervisors and clouds are found wherever their unit is, or the script
// that becomes one, and masked.
func TestAgentsAreMasked(t *testing.T) {
	for _, path := range []string{
		"usr/lib/systemd/system/droplet-agent.service",
		"usr/lib/systemd/system/aliyun.service",
		"usr/lib/systemd/system/snap.oracle-cloud-agent.oracle-cloud-agent.service",
		"usr/lib/systemd/system/afterburn-sshkeys@.service",
		"usr/lib/systemd/system/ngt_guest_agent.service",
		"usr/lib/systemd/system/tat_agent.service",
		"usr/lib/systemd/system/hv_kvp_daemon.service",
		"lib/systemd/system/walinuxagent.service",
		"usr/local/lib/systemd/system/google-guest-agent.service",
		"etc/systemd/system/amazon-ssm-agent.service",
		"etc/systemd/system/snap.amazon-ssm-agent.amazon-ssm-agent.service",
		"etc/systemd/system/open-vm-tools.service",
		"usr/lib/systemd/system/xe-guest-utilities.service",
		"usr/lib/systemd/system/cloudbase-init.service",
		"usr/lib/systemd/system/ec2-instance-connect.service",
		"usr/lib/systemd/system/systemd-imdsd.socket",
		"etc/init.d/aliyun-service",
		"etc/rc.d/init.d/ngt_guest_agent",
	} {
		root := fstest.MapFS{path: file("[Service]\nExecStart=/opt/x\n")}
		all, err := harden.Inspect(root, harden.Options{})
		if err != nil || !slices.Equal(codes(all), []string{"host-channel, mended"}) || all[0].Path != path || all[0].Severity != harden.Critical {
			t.Errorf("%s: %+v, %v", path, all, err)
		}
		apply(t, root, harden.Options{})
		if all, err := harden.Inspect(root, harden.Options{}); err != nil || len(all) != 0 {
			t.Errorf("%s: after the edits %+v, %v", path, all, err)
		}
	}
}
