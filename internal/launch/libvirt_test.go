package launch_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/launch"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

func domain(t *testing.T, change func(*launch.SNP)) []byte {
	t.Helper()
	s := launch.SNP{Guest: guest(t), Machine: machine(), Encryption: launch.Encryption{CBitPos: 51, ReducedPhysBits: 1}}
	s.Guest.Cmdline = `root=/dev/mapper/cryptroot a="<&>" b='c'`
	s.Machine.Network.SSHPort = 0
	if change != nil {
		change(&s)
	}
	xml, err := s.Domain("guest")
	if err != nil {
		t.Fatal(err)
	}
	return xml
}

// TestDomainIsValid asks libvirt's own validator. Schemas before libvirt 10.5 know
// no SEV-SNP: with those, the domain is valid without its launchSecurity, whose
// contents TestDomainValues pins.
func TestDomainIsValid(t *testing.T) {
	schema, err := os.ReadFile("/usr/share/libvirt/schemas/domaincommon.rng")
	if err != nil {
		t.Fatalf("libvirt's schemas (Debian package libvirt-clients): %v", err)
	}
	for name, change := range map[string]func(*launch.SNP){
		"user":     nil,
		"tap":      func(s *launch.SNP) { s.Machine.Network = launch.Network{Mode: launch.NetworkTap, Tap: "tap0"} },
		"none":     func(s *launch.SNP) { s.Machine.Network.Mode = launch.NetworkNone },
		"instance": func(s *launch.SNP) { s.Machine.HostData = wire.HostData(instance()) },
		"overlay":  func(s *launch.SNP) { s.Machine.Disk.Backing = &launch.Disk{Path: "/disks/golden", Format: launch.Raw} },
		"transient raw": func(s *launch.SNP) {
			s.Machine.Snapshot, s.Machine.Disk.Format, s.Guest.AuthorKey = true, launch.Raw, false
		},
	} {
		xml := domain(t, change)
		if !bytes.Contains(schema, []byte("<value>sev-snp</value>")) {
			xml = regexp.MustCompile(`(?s)<launchSecurity.*</launchSecurity>`).ReplaceAll(xml, nil)
		}
		path := filepath.Join(t.TempDir(), "domain.xml")
		if err := os.WriteFile(path, xml, 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command("virt-xml-validate", path).CombinedOutput(); err != nil {
			t.Errorf("%s: virt-xml-validate (Debian package libvirt-clients): %v\n%s\n%s", name, err, out, xml)
		}
	}
}

// TestDomainValues pins what is measured or compared.
func TestDomainValues(t *testing.T) {
	g := guest(t)
	b64 := base64.StdEncoding.EncodeToString
	xml := string(domain(t, func(s *launch.SNP) { g = s.Guest }))
	for _, want := range []string{
		`<launchSecurity type="sev-snp" kernelHashes="yes" authorKey="yes">`, "<cbitpos>51</cbitpos>", "<reducedPhysBits>1</reducedPhysBits>",
		"<policy>0x30000</policy>", "<idBlock>" + b64(g.IDBlock) + "</idBlock>", "<idAuth>" + b64(g.IDAuth) + "</idAuth>",
		`<loader type="rom" stateless="yes">` + g.Firmware + "</loader>", "<kernel>" + g.Kernel + "</kernel>", "<initrd>" + g.Initrd + "</initrd>",
		"<cmdline>root=/dev/mapper/cryptroot a=&#34;&lt;&amp;&gt;&#34; b=&#39;c&#39;</cmdline>",
		`<vcpu placement="static">2</vcpu>`, `<model fallback="forbid">EPYC-Milan</model>`, `<memory unit="MiB">4096</memory>`,
		"<name>guest</name>", `<driver name="qemu" type="qcow2" cache="writeback" iommu="on">`,
	} {
		if !strings.Contains(xml, want) {
			t.Errorf("no %s in\n%s", want, xml)
		}
	}
	if !strings.Contains(xml, "<backingStore></backingStore>") {
		t.Error("libvirt is left to follow the header")
	}
	golden := string(domain(t, func(s *launch.SNP) { s.Machine.Disk.Backing = &launch.Disk{Path: "/disks/golden", Format: launch.Raw} }))
	for _, want := range []string{`<backingStore type="file">`, `<format type="raw"></format>`, `<source file="/disks/golden"></source>`, "<backingStore></backingStore>"} {
		if !strings.Contains(golden, want) {
			t.Errorf("overlay: no %s in\n%s", want, golden)
		}
	}
	if strings.Contains(xml, "hostData") {
		t.Error("HOST_DATA without an instance")
	}
	named := string(domain(t, func(s *launch.SNP) { s.Machine.HostData = wire.HostData(instance()) }))
	if want := "</idAuth>\n    <hostData>U05QR1VBUkQtSU5TVC0xABEiM0RVZneIiQAAAAAAAAA=</hostData>\n  </launchSecurity>"; !strings.Contains(named, want) {
		t.Errorf("instance: no %s in\n%s", want, named)
	}
	if strings.Contains(xml, "debian") {
		t.Error("the image's name is in the domain")
	}
}

func TestDomainRefusesSSHPort(t *testing.T) {
	s := launch.SNP{Guest: guest(t), Machine: machine()}
	if _, err := s.Domain("guest"); !errors.Is(err, launch.ErrMachine) {
		t.Errorf("got %v", err)
	}
}
