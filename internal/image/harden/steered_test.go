package harden_test

import (
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/harden"
)

const none = "datasource_list: [ None ]\n"

// closed is an image whose cloud-init asks no data source.
func closed() fstest.MapFS {
	return fstest.MapFS{"etc/cloud/cloud.cfg": file(none), "usr/lib/systemd/system/cloud-init.service": file("[Service]\nExecStart=/usr/bin/cloud-init init\n")}
}

// apply makes the edits, as the converter does.
func apply(t *testing.T, root fstest.MapFS, o harden.Options) {
	t.Helper()
	edits, err := harden.Edits(root, o)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range edits {
		switch {
		case e.Remove:
			for name := range root {
				if name == e.Path || strings.HasPrefix(name, e.Path+"/") {
					delete(root, name)
				}
			}
		case e.Target != "":
			root[e.Path] = link(e.Target)
		default:
			root[e.Path] = file(string(e.Content))
		}
	}
}

// bomb merges each mapping many times into the next.
func bomb() string {
	var b strings.Builder
	b.WriteString("x0: &x0 { a: b }\n")
	for n := range 12 {
		fmt.Fprintf(&b, "x%d: &x%d { <<: [%s] }\n", n+1, n+1, strings.TrimSuffix(strings.Repeat(fmt.Sprintf(" *x%d,", n), 20), ","))
	}
	return b.String() + "<<: *x12\n"
}

// Data sources that count whatever list cloud-init has are taken away: what was
// checked against ds-identify and cloud-init themselves.
func TestOtherWaysToADataSourceAreMended(t *testing.T) {
	for name, test := range map[string]struct {
		path string
		with *fstest.MapFile
	}{
		"ds-identify.cfg":             {"etc/cloud/ds-identify.cfg", file("datasource: NoCloud\n")},
		"ds-identify.cfg, quoted":     {"etc/cloud/ds-identify.cfg", file("policy: enabled\n  datasource : 'Ec2' # x\n")},
		"ds-identify.cfg, joined":     {"etc/cloud/ds-identify.cfg", file("data\\\nsource: NoCloud\n")},
		"ds-identify.cfg, as a list":  {"etc/cloud/ds-identify.cfg", file("datasource: None, NoCloud\n")},
		"ds-identify's environment":   {"usr/libexec/ds-identify-env", file("PATH_DI_CONFIG=/opt/x\n")},
		"source of the last boot":     {"var/lib/cloud/instance", link("/var/lib/cloud/instances/i-1")},
		"the same, a directory":       {"var/lib/cloud/instance/obj.pkl", file("\x80\x04")},
		"list in lines of its own":    {"etc/cloud/cloud.cfg", file("datasource_list:\n  - None\n")},
		"line with another list":      {"etc/cloud/cloud.cfg.d/50.cfg", file("write_files:\n- content: |\n    datasource_list: [ NoCloud ]\n")},
		"list under an escaped key":   {"etc/cloud/cloud.cfg.d/50.cfg", file(`"datasource\x5flist": [ NoCloud ]` + "\n")},
		"list by a merged mapping":    {"etc/cloud/cloud.cfg.d/50.cfg", file("x: &x { datasource_list: [ NoCloud ] }\n<<: *x\n")},
		"list given twice":            {"etc/cloud/cloud.cfg.d/50.cfg", file(none + "datasource_list: [ NoCloud ]\n")},
		"a list of another last file": {"etc/cloud/cloud.cfg.d/zz.cfg", file("datasource_list: [ NoCloud, None ]\n")},
	} {
		root := closed()
		root[test.path] = test.with
		kept, err := harden.Inspect(root, harden.Options{CloudInit: harden.CloudInitKeep})
		if err != nil || !slices.Equal(codes(kept), []string{"cloud-init"}) || kept[0].Severity != harden.Critical {
			t.Errorf("%s, kept: %+v, %v", name, kept, err)
		}
		all, err := harden.Inspect(root, harden.Options{})
		if err != nil || !slices.Equal(codes(all), []string{"cloud-init, mended"}) || !strings.HasPrefix(test.path, all[0].Path) {
			t.Errorf("%s: %+v, %v", name, all, err)
		}
		apply(t, root, harden.Options{})
		if all, err := harden.Inspect(root, harden.Options{CloudInit: harden.CloudInitKeep}); err != nil || len(all) != 0 {
			t.Errorf("%s: after the edits %+v, %v", name, all, err)
		}
	}
}

// What has cloud-init look past the list that the conversion writes is critical,
// and never said to be mended.
func TestSteeredCloudInitIsNotMended(t *testing.T) {
	for name, test := range map[string]struct {
		path, content string
	}{
		"another directory":           {"etc/cloud/cloud.cfg", none + "conf_d: /opt/cloud.d\n"},
		"another directory, escaped":  {"etc/cloud/cloud.cfg", none + `"conf\x5fd": /opt/cloud.d` + "\n"},
		"another directory, merged":   {"etc/cloud/cloud.cfg", none + "<<: { conf_d: /opt }\n"},
		"the same, of a list":         {"etc/cloud/cloud.cfg", none + "x: &x [ { a: b }, { <<: { conf_d: /opt } } ]\n<<: *x\n"},
		"the same, too deep":          {"etc/cloud/cloud.cfg", none + "<<: " + strings.Repeat("{ <<: ", 40) + "{ conf_d: /opt }" + strings.Repeat(" }", 40) + "\n"},
		"merges without end":          {"etc/cloud/cloud.cfg", none + bomb()},
		"a template without a space":  {"etc/cloud/cloud.cfg.d/00.cfg", "##TEMPLATE:jinja\na: 1\n"},
		"user data not to be told":    {"etc/cloud/cloud.cfg.d/00.cfg", "datasource: { None: [ x ] }\n"},
		"earlier files win":           {"etc/cloud/cloud.cfg.d/00.cfg", "merge_how: dict(replace)+list()+str()\n"},
		"earlier files win, old name": {"etc/cloud/cloud.cfg.d/00.cfg", "merge_type: dict(replace)\n"},
		"no YAML":                     {"etc/cloud/cloud.cfg.d/00.cfg", "a: [\n"},
		"two documents":               {"etc/cloud/cloud.cfg.d/00.cfg", "a: 1\n---\nb: 2\n"},
		"a list at the top":           {"etc/cloud/cloud.cfg.d/00.cfg", "- a\n"},
		"a template":                  {"etc/cloud/cloud.cfg.d/00.cfg", "## template: jinja\na: 1\n"},
		"user data that includes":     {"etc/cloud/cloud.cfg.d/00.cfg", "datasource: { None: { userdata_raw: \"#include\\nhttp://169.254.169.254/x\" } }\n"},
		"/run, by tmpfiles":           {"usr/lib/tmpfiles.d/x.conf", "f /run/cloud-init/cloud.cfg 0644 - - - datasource_list: [NoCloud]\n"},
		"variable of a drop-in":       {"etc/systemd/system/cloud-init.service.d/x.conf", "[Service]\nEnvironment=A=1 \"CLOUD_CFG=/opt/x\"\n"},
		"variable of its type":        {"usr/lib/systemd/system/service.d/x.conf", "[Service]\nEnvironment=CLOUD_CFG=/opt/x\n"},
		"variable of all":             {"etc/systemd/system.conf.d/x.conf", "[Manager]\nDefaultEnvironment=CLOUD_CFG=/opt/x\n"},
		"variable for ds-identify":    {"etc/systemd/system.conf", "[Manager]\nManagerEnvironment=PATH_DI_CONFIG=/opt/x\n"},
		"command of a drop-in":        {"lib/systemd/system/cloud-init-.service.d/x.conf", "[Service]\nExecStart=\nExecStart=/opt/x\n"},
		"command with a file":         {"etc/systemd/system/cloud-init-local.service", "[Service]\nExecStart=/usr/bin/cloud-init \\\n --file /opt/x init --local\n"},
		"command in a shell":          {"etc/systemd/system/cloud-init-local.service", "[Service]\nExecStart=sh -c 'exec cloud-init -f /opt/x init'\n"},
		"mount of a unit":             {"usr/lib/systemd/system/etc-cloud.mount", "[Mount]\nWhat=tmpfs\nWhere=/etc/cloud\n"},
		"mount of fstab":              {"etc/fstab", "/dev/vda1 / ext4\n/opt/c /etc/cloud/ none bind\n"},
		"mount of a subvolume":        {"etc/fstab", "UUID=1 / btrfs\nUUID=1 /etc btrfs subvol=etc\n"},
		"generator of the machine's":  {"usr/local/lib/systemd/system-generators/cloud-init-generator", "#!/bin/sh\n"},
		"generator":                   {"etc/systemd/system-generators/cloud-init-generator", "#!/bin/sh\n"},
	} {
		root := closed()
		root[test.path] = file(test.content)
		for _, o := range []harden.Options{{}, {CloudInit: harden.CloudInitKeep}} {
			all, err := harden.Inspect(root, o)
			if err != nil || !slices.Contains(codes(all), "cloud-init-steered") {
				t.Errorf("%s: %+v, %v", name, all, err)
			}
		}
		apply(t, root, harden.Options{})
		all, err := harden.Inspect(root, harden.Options{})
		if err != nil || !slices.Contains(codes(all), "cloud-init-steered") {
			t.Errorf("%s: after the edits %+v, %v", name, all, err)
		}
	}
	root := closed()
	root["etc/cloud/cloud.cfg.d"] = link("/run/cloud.cfg.d")
	if all, err := harden.Inspect(root, harden.Options{}); err != nil || len(all) != 1 || all[0].Code != "cloud-init-steered" || all[0].Path != "etc/cloud/cloud.cfg.d" {
		t.Errorf("link: %+v, %v", all, err)
	}
	root = closed()
	root["etc/systemd/system/cloud-init.service.d/x.conf"] = file("[Service]\nEnvironmentFile=-/etc/default/c*\n")
	root["etc/default/cloud"] = file("# x\nCLOUD_CFG=\"/opt/x\"\n")
	if all, err := harden.Inspect(root, harden.Options{}); err != nil || len(all) != 1 || all[0].Path != "etc/default/cloud" || all[0].Mended {
		t.Errorf("environment file: %+v, %v", all, err)
	}
}

// What no data source but those of the host reads, and what names none, is fine.
func TestQuietCloudInit(t *testing.T) {
	for name, test := range map[string]struct {
		path string
		with *fstest.MapFile
	}{
		"other mounts":       {"etc/fstab", file("/dev/vda1 / ext4\ntmpfs /tmp tmpfs\ntmpfs /etc/cloudy tmpfs\n")},
		"policy":             {"etc/cloud/ds-identify.cfg", file("# datasource: NoCloud\npolicy: search,found=all\n")},
		"source None":        {"etc/cloud/ds-identify.cfg", file("datasource: None\n")},
		"seed of NoCloud":    {"var/lib/cloud/seed/nocloud/user-data", file("#cloud-config\n")},
		"seed of snaps":      {"writable/system-data/var/lib/cloud/seed/nocloud-net/user-data", file("")},
		"what /run had":      {"run/cloud-init/cloud.cfg", file("datasource_list: [ NoCloud ]\n")},
		"user data":          {"etc/cloud/cloud.cfg.d/99-installer.cfg", file("datasource:\n  None:\n    metadata: { instance-id: x }\n    userdata_raw: \"#cloud-config\\nusers: []\\n\"\n")},
		"no generator":       {"etc/systemd/system-generators/cloud-init-generator", link("/dev/null")},
		"drop-in":            {"etc/systemd/system/cloud-init.service.d/x.conf", file("[Service]\nTimeoutSec=1\nExecStartPre=/bin/true\nEnvironment=LANG=C\n")},
		"empty file":         {"etc/cloud/cloud.cfg.d/00.cfg", file("# nothing\n")},
		"commented conf_d":   {"etc/cloud/cloud.cfg.d/00.cfg", file("# conf_d: x\nx: conf_d\n")},
		"conf_d that is not": {"etc/cloud/cloud.cfg.d/00.cfg", file("conf_d: /opt\n")},
	} {
		root := closed()
		root[test.path] = test.with
		if all, err := harden.Inspect(root, harden.Options{CloudInit: harden.CloudInitKeep}); err != nil || len(all) != 0 {
			t.Errorf("%s: %+v, %v", name, all, err)
		}
	}
}

// An owner's policy for ds-identify stays; what the conversion writes names no
// source, and a list that the owner asks for is never said to be mended.
func TestDataSourcesOfTheOwner(t *testing.T) {
	root := closed()
	root["etc/cloud/ds-identify.cfg"] = file("policy: enabled\ndatasource: NoCloud\n")
	e := edit(t, root, harden.Options{}, "etc/cloud/ds-identify.cfg")
	if e == nil || strings.Contains(string(e.Content), "datasource:") || !strings.HasSuffix(string(e.Content), "\npolicy: enabled\n") {
		t.Errorf("%+v", e)
	}
	all, err := harden.Inspect(closed(), harden.Options{CloudInit: "NoCloud"})
	if err != nil || !slices.Equal(codes(all), []string{"cloud-init"}) {
		t.Errorf("%q, %v", codes(all), err)
	}
	root = closed()
	root["etc/cloud/cloud-init.disabled"] = &fstest.MapFile{Data: []byte("/nowhere"), Mode: fs.ModeSymlink | 0o777}
	root["etc/cloud/cloud.cfg"] = file("users: []\n")
	if all, err := harden.Inspect(root, harden.Options{}); err != nil || !slices.Equal(codes(all), []string{"cloud-init, mended"}) {
		t.Errorf("a marker that leads nowhere does not switch cloud-init off: %q, %v", codes(all), err)
	}
}
