// Package convertopts turns what command lines and templates say about a
// conversion into the options of internal/image/convert.
package convertopts

import "time"

//go:generate packer-sdc struct-markdown

// Config says how to convert. The command line binds its flags to it, templates
// their attributes. What is converted, and to where, each says in its own way.
type Config struct {
	// OVMF build for SEV-SNP with a hash table, such as
	// `/usr/share/ovmf/OVMF.amdsev.fd` of Debian's package ovmf-amdsev.
	Firmware string `mapstructure:"firmware" required:"true"`
	// URLs under which guests reach the attestation service, tried in turn.
	// Default: the service's address as this machine knows it.
	Services []string `mapstructure:"services"`
	// PEM file with the identity key of the service, or the PEM text itself.
	// Together with `ingestion_key` and `ca_file`, the service need not be
	// reachable. Default: what the service or the login says.
	IdentityKey string `mapstructure:"identity_key"`
	// PEM file with the ingestion key of the service, or the PEM text itself.
	// Belongs to `identity_key`.
	IngestionKey string `mapstructure:"ingestion_key"`

	// Version of the kernel to boot. Default: GRUB's choice among those that
	// support SEV-SNP.
	Kernel string `mapstructure:"kernel"`
	// Ask which boot entry to take. Excludes `kernel`. Default: false.
	Interactive bool `mapstructure:"interactive"`
	// Packages with kernel modules that the image lacks, each the name of a
	// `.deb` or `.rpm`, or `URL#sha256=HEX`.
	ModulePackages []string `mapstructure:"module_packages"`
	// Text to add to the kernel command line, which is measured.
	CmdlineAppend string `mapstructure:"cmdline_append"`
	// Words of the boot entry's command line to keep although they are not known
	// to be harmless, each a whole word or `NAME=` for all words of that name.
	// Others that are not known are left out. What the measured command line
	// decides, such as `root=`, cannot be kept.
	KeepArguments []string `mapstructure:"keep_arguments"`

	// Size of the disk, such as `20G`. Default: as large as needed.
	Size string `mapstructure:"size"`
	// Format of the image, `qcow2` or `raw`. Default: `qcow2`.
	Format string `mapstructure:"format"`
	// Compress what is not encrypted in a qcow2. Default: false.
	Compress bool `mapstructure:"compress"`
	// age recipients that can recover the volume key. Default: none, so that the
	// attestation service alone can open the disk.
	RecoveryRecipients []string `mapstructure:"recovery_recipients"`
	// Let the guest tell the host which blocks are free. Default: false.
	AllowDiscards bool `mapstructure:"allow_discards"`
	// Fill free blocks with noise, so that nobody sees which are in use. The
	// image is then as large as the disk. Default: false.
	EncryptFreeSpace bool `mapstructure:"encrypt_free_space"`

	// How the guest gets its addresses before the root is open: `dhcp`, or
	// `static:ADDRESS/BITS[,...],gw=ADDRESS[,...],dns=ADDRESS[,...]`.
	// Default: `dhcp`.
	Network string `mapstructure:"network"`
	// Use only the network interface with this address.
	NetworkMAC string `mapstructure:"network_mac"`
	// Data sources that cloud-init may use in the guest: `none`, `keep` or a
	// list, separated by commas. The host controls most of them.
	// Default: `none`.
	CloudInit string `mapstructure:"cloud_init"`
	// How long the agent tries to get the key before it powers off.
	// Default: `15m`.
	Deadline time.Duration `mapstructure:"deadline"`

	// Agent to put into the initrd. Default: the one in this program.
	AgentPath string `mapstructure:"agent_path"`
	// Put in the agent for a simulated AMD-SP: for trying, worth nothing.
	// Default: false.
	Simulate bool `mapstructure:"simulate"`
	// Leave the disk as it is, without agent and service: for trying the launch
	// alone. Default: false.
	NoEncryption bool `mapstructure:"no_encryption"`
	// Keep the working files of a failed conversion. Default: false.
	KeepOnFailure bool `mapstructure:"keep_on_failure"`
}
