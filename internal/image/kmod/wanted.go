package kmod

// Wanted is a module that the agent can use.
type Wanted struct {
	Name string // with underscores, as lsmod(8) prints it
	Why  string // for people
	// Required: the agent cannot work without it.
	Required bool
	// Group: of the modules that share this name at least one is required.
	Group string
}

// ForInitrd lists what goes into an initrd: what the agent can use and, where it mounts
// the root itself, what the root's file system needs.
func ForInitrd(mountsRoot bool, filesystem string) []Wanted {
	if mountsRoot {
		return append(ForAgent(), ForRoot(filesystem)...)
	}
	return ForAgent()
}

// ForAgent lists what the agent can use. What these depend on comes by itself.
//
// Network and disk drivers are those of machines on which SNP guests are
// offered: QEMU and libvirt (virtio), Google (gve, virtio, nvme) and Amazon (ena,
// nvme). Azure puts a paravisor between guest and AMD-SP, so its drivers (hv_*)
// are not there, nor are those of emulated hardware. File systems are those of
// [ForRoot].
func ForAgent() []Wanted {
	return []Wanted{
		{Name: "dm_mod", Why: "device mapper", Required: true},
		{Name: "dm_crypt", Why: "disk encryption", Required: true},
		{Name: "xts", Why: "XTS mode", Required: true},
		{Name: "aesni_intel", Why: "AES by the processor", Group: "AES"},
		{Name: "aes_generic", Why: "AES in software", Group: "AES"},
		{Name: "ecb", Why: "XTS without a driver of its own"},
		{Name: "configfs", Why: "attestation reports"},
		{Name: "sev_guest", Why: "attestation reports", Required: true},
		{Name: "tsm", Why: "attestation reports, up to Linux 6.16"},
		{Name: "tsm_report", Why: "attestation reports, from Linux 6.17 on"},
		{Name: "virtio_pci", Why: "QEMU's devices"},
		{Name: "virtio_blk", Why: "disks"},
		{Name: "virtio_scsi", Why: "disks"},
		{Name: "sd_mod", Why: "disks"},
		{Name: "nvme", Why: "disks"},
		{Name: "virtio_net", Why: "network"},
		{Name: "gve", Why: "network at Google"},
		{Name: "ena", Why: "network at Amazon"},
		{Name: "virtio_console", Why: "console; the simulated AMD-SP"},
		{Name: "virtio_rng", Why: "random numbers"},
	}
}

// ForRoot lists what an agent needs besides to mount a file system, "ext4", "xfs" or
// "btrfs": its module and the checksums that it asks the kernel for, which no
// dependency names.
func ForRoot(filesystem string) []Wanted {
	list := []Wanted{
		{Name: "crc32c_generic", Why: "checksums of the root"},
		{Name: "crc32c_intel", Why: "checksums of the root, by the processor"},
	}
	if filesystem == "btrfs" {
		list = append(list,
			Wanted{Name: "xxhash_generic", Why: "checksums of btrfs"},
			Wanted{Name: "blake2b_generic", Why: "checksums of btrfs"},
			Wanted{Name: "sha256_generic", Why: "checksums of btrfs"},
		)
	}
	return append(list, Wanted{Name: filesystem, Why: "the root", Required: true})
}
