package launch

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/xml"
	"fmt"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// domain is a domain of libvirt, as far as it is needed here
// (https://libvirt.org/formatdomain.html).
type domain struct {
	XMLName        xml.Name       `xml:"domain"`
	Type           string         `xml:"type,attr"`
	Name           string         `xml:"name"`
	Memory         memorySize     `xml:"memory"`
	MemorySource   typed          `xml:"memoryBacking>source"`
	MemoryAccess   mode           `xml:"memoryBacking>access"`
	VCPU           vcpu           `xml:"vcpu"`
	OS             domainOS       `xml:"os"`
	Features       features       `xml:"features"`
	CPU            cpu            `xml:"cpu"`
	OnPowerOff     string         `xml:"on_poweroff"`
	OnReboot       string         `xml:"on_reboot"`
	OnCrash        string         `xml:"on_crash"`
	Devices        devices        `xml:"devices"`
	LaunchSecurity launchSecurity `xml:"launchSecurity"`
}

type memorySize struct {
	Unit  string `xml:"unit,attr"`
	Value int64  `xml:",chardata"`
}

type typed struct {
	Type string `xml:"type,attr"`
}

type mode struct {
	Mode string `xml:"mode,attr"`
}

type vcpu struct {
	Placement string `xml:"placement,attr"`
	Count     int    `xml:",chardata"`
}

type domainOS struct {
	Type    osType   `xml:"type"`
	Loader  osLoader `xml:"loader"`
	Kernel  string   `xml:"kernel"`
	Initrd  string   `xml:"initrd"`
	Cmdline string   `xml:"cmdline"`
}

type osType struct {
	Arch    string `xml:"arch,attr"`
	Machine string `xml:"machine,attr"`
	Value   string `xml:",chardata"`
}

type osLoader struct {
	Type      string `xml:"type,attr"`
	Stateless string `xml:"stateless,attr"`
	Path      string `xml:",chardata"`
}

type features struct {
	ACPI   struct{} `xml:"acpi"`
	APIC   struct{} `xml:"apic"`
	VMPort state    `xml:"vmport"`
}

type state struct {
	State string `xml:"state,attr"`
}

type cpu struct {
	Mode  string   `xml:"mode,attr"`
	Match string   `xml:"match,attr"`
	Check string   `xml:"check,attr"`
	Model cpuModel `xml:"model"`
}

type cpuModel struct {
	Fallback string `xml:"fallback,attr"`
	Name     string `xml:",chardata"`
}

type launchSecurity struct {
	Type            string `xml:"type,attr"`
	KernelHashes    string `xml:"kernelHashes,attr"`
	AuthorKey       string `xml:"authorKey,attr"`
	CBitPos         uint32 `xml:"cbitpos"`
	ReducedPhysBits uint32 `xml:"reducedPhysBits"`
	Policy          string `xml:"policy"`
	IDBlock         string `xml:"idBlock,omitempty"`
	IDAuth          string `xml:"idAuth,omitempty"`
	HostData        string `xml:"hostData,omitempty"`
}

// DomainName returns a name for the domain of one disk of an image: two guests of
// one image have two disks, and libvirt takes a name once. People's names for images
// may hold anything, so it is made of the image's ID and a hash of the disk's path.
func DomainName(image wire.UUID, d Disk) string {
	sum := sha256.Sum256([]byte(d.Path))
	return fmt.Sprintf("snpguard-%s-%x", image, sum[:4])
}

// Domain returns the guest as a domain of libvirt, since version 10.5. The error wraps ErrMachine for a port to SSH, which
// libvirt's network of that kind does not have.
func (s SNP) Domain(name string) ([]byte, error) {
	if s.Machine.Network.SSHPort != 0 {
		return nil, fmt.Errorf("%w: a domain leads no port to the guest; leave out the port for SSH", ErrMachine)
	}
	g, base64 := s.Guest, base64.StdEncoding.EncodeToString
	d := domain{
		Type: "kvm", Name: name,
		Memory:       memorySize{"MiB", s.Machine.Memory >> 20},
		MemorySource: typed{"memfd"}, MemoryAccess: mode{"shared"},
		VCPU: vcpu{"static", g.VCPUs.Count},
		OS: domainOS{
			Type:   osType{"x86_64", "q35", "hvm"},
			Loader: osLoader{"rom", "yes", g.Firmware},
			Kernel: g.Kernel, Initrd: g.Initrd, Cmdline: g.Cmdline,
		},
		Features:   features{VMPort: state{"off"}},
		CPU:        cpu{"custom", "exact", "none", cpuModel{"forbid", g.VCPUs.Type.Name}},
		OnPowerOff: "destroy", OnReboot: "destroy", OnCrash: "destroy",
		Devices: s.Machine.devices(),
		LaunchSecurity: launchSecurity{
			Type: "sev-snp", KernelHashes: "yes", AuthorKey: yesNo(g.AuthorKey),
			CBitPos: s.Encryption.CBitPos, ReducedPhysBits: s.Encryption.ReducedPhysBits,
			Policy: fmt.Sprintf("%#x", uint64(g.Policy)), IDBlock: base64(g.IDBlock), IDAuth: base64(g.IDAuth),
			HostData: s.Machine.hostData(),
		},
	}
	out, err := xml.MarshalIndent(d, "", "  ")
	return append(out, '\n'), err
}

func yesNo(yes bool) string {
	if yes {
		return "yes"
	}
	return "no"
}
