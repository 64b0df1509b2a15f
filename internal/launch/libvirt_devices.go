package launch

// devices are the devices of a domain.
type devices struct {
	Disk       disk        `xml:"disk"`
	Interfaces []netdev    `xml:"interface"`
	Serial     serial      `xml:"serial"`
	Console    console     `xml:"console"`
	Balloon    deviceModel `xml:"memballoon"`
}

type disk struct {
	Type      string       `xml:"type,attr"`
	Device    string       `xml:"device,attr"`
	Driver    diskDriver   `xml:"driver"`
	Source    diskSource   `xml:"source"`
	Backing   backingStore `xml:"backingStore"`
	Target    diskTarget   `xml:"target"`
	Transient *struct{}    `xml:"transient"`
}

// backingStore ends the chain of backing files when it is empty: libvirt follows the
// names in headers otherwise.
type backingStore struct {
	Type   string        `xml:"type,attr,omitempty"`
	Format *typed        `xml:"format"`
	Source *diskSource   `xml:"source"`
	Next   *backingStore `xml:"backingStore"`
}

type diskDriver struct {
	Name  string `xml:"name,attr"`
	Type  string `xml:"type,attr"`
	Cache string `xml:"cache,attr"`
	IOMMU string `xml:"iommu,attr"`
}

type diskSource struct {
	File string `xml:"file,attr"`
}

type diskTarget struct {
	Dev string `xml:"dev,attr"`
	Bus string `xml:"bus,attr"`
}

type netdev struct {
	Type   string      `xml:"type,attr"`
	Target *netTarget  `xml:"target"`
	Model  typed       `xml:"model"`
	Driver iommuDriver `xml:"driver"`
	ROM    enabled     `xml:"rom"`
}

type netTarget struct {
	Dev     string `xml:"dev,attr"`
	Managed string `xml:"managed,attr"`
}

type iommuDriver struct {
	IOMMU string `xml:"iommu,attr"`
}

type enabled struct {
	Enabled string `xml:"enabled,attr"`
}

type serial struct {
	Type string `xml:"type,attr"`
}

type console struct {
	Type   string        `xml:"type,attr"`
	Target consoleTarget `xml:"target"`
}

type consoleTarget struct {
	Type string `xml:"type,attr"`
	Port int    `xml:"port,attr"`
}

type deviceModel struct {
	Model string `xml:"model,attr"`
}

func (d Disk) backingStore() backingStore {
	if d.Backing == nil {
		return backingStore{}
	}
	return backingStore{Type: "file", Format: &typed{d.Backing.Format}, Source: &diskSource{d.Backing.Path}, Next: &backingStore{}}
}

// devices returns what args gives to QEMU, as libvirt says it.
func (m Machine) devices() devices {
	d := devices{
		Disk: disk{
			Type: "file", Device: "disk", Driver: diskDriver{"qemu", m.Disk.Format, diskCache, "on"},
			Source: diskSource{m.Disk.Path}, Backing: m.Disk.backingStore(), Target: diskTarget{"vda", "virtio"},
		},
		Serial: serial{"pty"}, Console: console{"pty", consoleTarget{"serial", 0}}, Balloon: deviceModel{"none"},
	}
	if m.Snapshot {
		d.Disk.Transient = &struct{}{}
	}
	nic := netdev{Type: "user", Model: typed{"virtio"}, Driver: iommuDriver{"on"}, ROM: enabled{"no"}}
	switch m.Network.Mode {
	case NetworkNone:
		return d
	case NetworkTap:
		nic.Type, nic.Target = "ethernet", &netTarget{m.Network.Tap, "no"}
	}
	d.Interfaces = []netdev{nic}
	return d
}
