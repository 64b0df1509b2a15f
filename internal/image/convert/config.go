package convert

import "time"

//go:generate packer-sdc struct-markdown

// Config says how to convert, on the command line and in templates alike. What is
// converted, and to where, each says in its own way: see Options.
type Config struct {
	// OVMF build for SEV-SNP with a hash table, such as
	// `/usr/share/ovmf/OVMF.amdsev.fd` of Debian's package ovmf-amdsev.
	Firmware string `mapstructure:"firmware" required:"true" flag:"firmware" help:"OVMF build for SEV-SNP with a hash table (Debian package ovmf-amdsev)"`
	// URLs under which guests reach the attestation service, tried in turn.
	// Default: the service's address as this machine knows it.
	Services []string `mapstructure:"services" flag:"service" help:"URL under which guests reach the service; may be repeated (default the login's)"`
	// PEM file with the identity key of the service, or the PEM text itself.
	// Together with `ingestion_key` and `ca_file`, the service need not be
	// reachable. Default: what the service or the login says.
	IdentityKey string `mapstructure:"identity_key" flag:"identity-key" help:"PEM file with the service's identity key (default the login's)"`
	// PEM file with the ingestion key of the service, or the PEM text itself.
	// Belongs to `identity_key`.
	IngestionKey string `mapstructure:"ingestion_key" flag:"ingestion-key" help:"PEM file with the service's ingestion key (default the login's)"`

	// Version of the kernel to boot. Default: the boot menu's choice among those that
	// support SEV-SNP.
	Kernel string `mapstructure:"kernel" flag:"kernel" help:"kernel version to boot (default the boot menu's choice among those that support SNP)"`
	// Ask which boot entry to take. Excludes `kernel`. Default: false.
	Interactive bool `mapstructure:"interactive" flag:"interactive" help:"ask which boot entry to take"`
	// Packages with kernel modules that the image lacks, each the name of a
	// `.deb` or `.rpm`, or `URL#sha256=HEX`.
	ModulePackages []string `mapstructure:"module_packages" flag:"module-package" help:"FILE or URL#sha256=HEX of a .deb or .rpm with kernel modules that the image lacks; may be repeated"`
	// Text to add to the kernel command line, which is measured.
	CmdlineAppend string `mapstructure:"cmdline_append" flag:"cmdline-append" help:"text to add to the kernel command line"`
	// Words of the boot entry's command line to keep although they are not known
	// to be harmless, each a whole word or `NAME=` for all words of that name.
	// Others that are not known are left out. What the measured command line
	// decides, such as `root=`, cannot be kept.
	KeepArguments []string `mapstructure:"keep_arguments" flag:"keep-argument" help:"word of the source's command line, or NAME=, to keep although it is not known to be harmless; may be repeated"`

	// Initrd that boots: `minimal` holds the agent, its configuration and kernel
	// modules; `distribution` is the image's own with the agent appended, for
	// images whose root needs more than to be mounted. Default: `minimal`.
	Initrd string `mapstructure:"initrd" flag:"initrd" default:"minimal" help:"initrd that boots: minimal, the agent and kernel modules alone; or distribution, the image's own with the agent appended"`
	// Start the system although the root lacks the modules of the kernel that
	// boots. With `minimal` the guest powers off otherwise, since it might come up
	// without its firewall. Default: false.
	OptionalModules bool `mapstructure:"optional_modules" flag:"optional-modules" help:"start the system although the root lacks the modules of the kernel that boots"`

	// Size of the disk, such as `20G`. Default: as large as needed.
	Size string `mapstructure:"size" flag:"size" help:"size of the disk, such as 20G (default as large as needed)"`
	// Size of the partition with the two slots for launch bundles, such as `1G`, which
	// lies before the root; `0` for none. Default: `512M`.
	ArtifactsSize string `mapstructure:"artifacts_size" flag:"artifacts-size" help:"size of the partition with the two slots for launch bundles, such as 1G; 0 for none (default 512M)"`
	// Format of the image, `qcow2` or `raw`. Default: `qcow2`.
	Format string `mapstructure:"format" flag:"format" default:"qcow2" help:"format of the image: qcow2 or raw"`
	// Compress what is not encrypted in a qcow2. Default: false.
	Compress bool `mapstructure:"compress" flag:"compress" help:"compress what is not encrypted in a qcow2"`
	// age recipients that can recover the volume key. Default: none, so that the
	// attestation service alone can open the disk.
	RecoveryRecipients []string `mapstructure:"recovery_recipients" flag:"recovery-recipient" help:"age recipient that can recover the volume key; may be repeated"`
	// Let the guest tell the host which blocks are free. Default: false.
	AllowDiscards bool `mapstructure:"allow_discards" flag:"allow-discards" help:"let the guest tell the host which blocks are free"`
	// Fill free blocks with noise, so that nobody sees which are in use. The
	// image is then as large as the disk. Default: false.
	EncryptFreeSpace bool `mapstructure:"encrypt_free_space" flag:"encrypt-free-space" help:"fill free blocks with noise, which hides which are in use"`

	// How the guest gets its addresses before the root is open: `dhcp`, or
	// `static:ADDRESS/BITS[,...],gw=ADDRESS[,...],dns=ADDRESS[,...]`.
	// Default: `dhcp`.
	Network string `mapstructure:"network" flag:"network" default:"dhcp" help:"dhcp, or static:ADDRESS/BITS[,...],gw=ADDRESS[,...],dns=ADDRESS[,...]"`
	// Use only the network interface with this address.
	NetworkMAC string `mapstructure:"network_mac" flag:"network-mac" help:"use only the interface with this address"`
	// Data sources that cloud-init may use in the guest: `none`, `keep` or a
	// list, separated by commas. The host controls most of them.
	// Default: `none`.
	CloudInit string `mapstructure:"cloud_init" flag:"cloud-init" default:"none" help:"data sources that cloud-init may use: none, keep or a list; the host controls most of them"`
	// How long the agent tries to get the key before it powers off.
	// Default: `15m`.
	Deadline time.Duration `mapstructure:"deadline" flag:"deadline" default:"15m" help:"how long the agent tries before it powers off"`

	// Agent to put into the initrd. Default: the one in this program.
	AgentPath string `mapstructure:"agent_path" flag:"agent-path" help:"agent to put into the initrd (default the one in this program)"`
	// Put in the agent for a simulated AMD-SP: for trying, worth nothing.
	// Default: false.
	Simulate bool `mapstructure:"simulate" flag:"simulate" help:"put in the agent for a simulated AMD-SP: for trying, worth nothing"`
	// Leave the disk as it is, without agent and service: for trying the launch
	// alone. Default: false.
	NoEncryption bool `mapstructure:"no_encryption" flag:"no-encryption" help:"leave the disk as it is, without agent and service: for trying the launch alone"`
	// Keep the working files of a failed conversion. Default: false.
	KeepOnFailure bool `mapstructure:"keep_on_failure" flag:"keep-on-failure" help:"keep the working files of a failed conversion"`
}
