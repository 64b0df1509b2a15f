package harden_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/harden"
)

// A later list of data sources counts, an earlier one does not.
func TestLastDataSourceListCounts(t *testing.T) {
	root := debian()
	root["etc/cloud/cloud.cfg.d/50.cfg"] = file("datasource_list: [ None ]\n")
	root["etc/cloud/cloud.cfg.d/90_dpkg.cfg"] = file("datasource_list: [ NoCloud, None ]\n")
	all, err := harden.Inspect(root, harden.Options{})
	at := slices.IndexFunc(all, func(f harden.Finding) bool { return f.Code == "cloud-init" })
	if err != nil || at < 0 || all[at].Path != "etc/cloud/cloud.cfg.d/90_dpkg.cfg" || !strings.Contains(all[at].Detail, "NoCloud, None") {
		t.Errorf("%+v, %v", all, err)
	}
}

// A list may stand in lines of its own, and ends with them.
func TestDataSourcesInLines(t *testing.T) {
	root := debian()
	root["etc/cloud/cloud.cfg.d/99_local.cfg"] = file("datasource_list:\n- NoCloud\n- 'None'\nsystem_info:\n- Ec2\n")
	all, err := harden.Inspect(root, harden.Options{})
	at := slices.IndexFunc(all, func(f harden.Finding) bool { return f.Code == "cloud-init" })
	if err != nil || at < 0 || !strings.Contains(all[at].Detail, "NoCloud, None") || strings.Contains(all[at].Detail, "Ec2") {
		t.Errorf("%+v, %v", all, err)
	}
}
