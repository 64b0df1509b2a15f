package register

//go:generate packer-sdc struct-markdown

// Config says what to register, and how, on the command line and in templates
// alike.
type Config struct {
	// Staging directory of the conversion. Default: the one of the artifact.
	Staging string `mapstructure:"staging" flag:"staging" help:"staging directory of the conversion"`
	// Firmware. Default: the one in the staging directory.
	Firmware string `mapstructure:"firmware" flag:"firmware" help:"firmware (default in --staging)"`
	// Kernel. Default: the one in the staging directory.
	Kernel string `mapstructure:"kernel" flag:"kernel" help:"kernel (default in --staging)"`
	// Initrd. Default: the one in the staging directory.
	Initrd string `mapstructure:"initrd" flag:"initrd" help:"initrd (default in --staging)"`
	// File with the kernel command line. Default: the one in the staging
	// directory.
	CmdlineFile string `mapstructure:"cmdline_file" flag:"cmdline-file" help:"file with the kernel command line (default in --staging)"`
	// Sealed unsealing key. Default: the one in the staging directory; none with `add_release`, since the
	// service has that of the image.
	UnsealingKey string `mapstructure:"unsealing_key" flag:"unsealing-key" help:"sealed unsealing key (default in --staging)"`
	// UUID that the conversion gave the image. Default: the one in the staging
	// directory.
	ImageID string `mapstructure:"image_id" flag:"image-id" help:"UUID that the conversion gave the image (default in --staging)"`

	// Name of the image. Not needed with `add_release`. (Packer keeps `name` for the
	// name of the post-processor.)
	Name string `mapstructure:"image_name" flag:"name" help:"name of the image"`
	// Labels of the image, to find it by.
	Labels map[string]string `mapstructure:"labels" flag:"label" help:"KEY=VALUE; may be repeated"`
	// Counts of vCPUs with which the image may be launched. Every count with
	// every one of `vcpu_types` makes a variant; the first is the default.
	VCPUs []int `mapstructure:"vcpus" required:"true" flag:"vcpus" help:"counts of vCPUs, separated by commas"`
	// QEMU's names of the vCPU models with which the image may be launched, such
	// as `EPYC-Genoa`.
	VCPUTypes []string `mapstructure:"vcpu_types" required:"true" flag:"vcpu-type,commas" help:"QEMU's names of vCPU models, separated by commas"`
	// Guest policy, a number or names such as `abi=0.31,smt`. Default: `0x30000`.
	GuestPolicy string `mapstructure:"guest_policy" flag:"guest-policy" default:"0x30000" help:"guest policy, a number or names such as abi=0.31,smt"`
	// Security version of the guest. Default: 0.
	GuestSVN uint32 `mapstructure:"guest_svn" flag:"guest-svn" help:"security version of the guest"`
	// File with a report policy (docs/report-policy.md). Excludes `products` and
	// `tcb_floors`.
	Policy string `mapstructure:"policy" flag:"policy" help:"file with a report policy (docs/report-policy.md)"`
	// Product lines that get the key: `Genoa` (with Siena and Bergamo), `Turin`,
	// `Milan`. A host with a chip of Milan can forge reports. Default: all of them,
	// with a warning.
	Products []string `mapstructure:"products" flag:"products,commas" help:"product lines of chips that get the key, separated by commas: Genoa, Turin, Milan (default all)"`
	// Least reported, committed and launch TCB that gets the key, each
	// `PRODUCT:COMPONENT=N,...`, such as
	// `Genoa:bootloader=10,tee=0,snp=23,microcode=84`, or the word `none`. Default:
	// the floors that come with the service (docs/report-policy.md).
	TCBFloors []string `mapstructure:"tcb_floors" flag:"tcb-floor" help:"PRODUCT:COMPONENT=N,... for reported, committed and launch TCB, may be repeated; or none (default the service's floors)"`
	// Codes of critical findings of the conversion, such as `ssh-host-key`, with
	// which the image is registered nevertheless. Without them an image that the
	// host gets into is refused.
	AcceptFindings []string `mapstructure:"accept_findings" flag:"accept-finding" help:"code of a critical finding to accept; may be repeated"`
	// Register the image, but release no key yet. Default: false.
	Disabled bool `mapstructure:"disabled" flag:"disabled" help:"register it, but release no key yet"`
	// Whether the image has instances, each with a volume key of its own (docs/instances.md):
	// `none`, `named` for those that are created first, or `auto` for those that their first
	// launch makes too. It cannot change once the image has been given a key. Default: `none`.
	Instances string `mapstructure:"instances" flag:"instances" help:"instances of the image, each with a volume key of its own: none, named or auto (default none)"`
	// Number of instances that launches may make. Needed with `instances = "auto"`, and for
	// it alone.
	InstanceLimit uint32 `mapstructure:"instance_limit" flag:"instance-limit" help:"number of instances that launches may make, for --instances auto"`
	// Add a release to an image that exists, in place of a new image.
	// Default: false.
	AddRelease bool `mapstructure:"add_release" flag:"add-release" help:"add a release to an image that exists"`
	// File to write the launch bundle to.
	Bundle string `mapstructure:"bundle" flag:"bundle" help:"file to write the launch bundle to"`
}
