package register

//go:generate packer-sdc struct-markdown

// Config says what to register, and how. The command line binds its flags to
// it, templates their attributes.
type Config struct {
	// Staging directory of the conversion. Default: the one of the artifact.
	Staging string `mapstructure:"staging"`
	// Firmware. Default: the one in the staging directory.
	Firmware string `mapstructure:"firmware"`
	// Kernel. Default: the one in the staging directory.
	Kernel string `mapstructure:"kernel"`
	// Initrd. Default: the one in the staging directory.
	Initrd string `mapstructure:"initrd"`
	// File with the kernel command line. Default: the one in the staging
	// directory.
	CmdlineFile string `mapstructure:"cmdline_file"`
	// Sealed unsealing key. Default: the one in the staging directory; none with `add_release`, since the
	// service has that of the image.
	UnsealingKey string `mapstructure:"unsealing_key"`
	// UUID that the conversion gave the image. Default: the one in the staging
	// directory.
	ImageID string `mapstructure:"image_id"`

	// Name of the image. Not needed with `add_release`. (Packer keeps `name` for the
	// name of the post-processor.)
	Name string `mapstructure:"image_name"`
	// Labels of the image, to find it by.
	Labels map[string]string `mapstructure:"labels"`
	// Counts of vCPUs with which the image may be launched. Every count with
	// every one of `vcpu_types` makes a variant; the first is the default.
	VCPUs []int `mapstructure:"vcpus" required:"true"`
	// QEMU's names of the vCPU models with which the image may be launched, such
	// as `EPYC-Genoa`.
	VCPUTypes []string `mapstructure:"vcpu_types" required:"true"`
	// Guest policy, a number or names such as `abi=0.31,smt`. Default: `0x30000`.
	GuestPolicy string `mapstructure:"guest_policy"`
	// Security version of the guest. Default: 0.
	GuestSVN uint32 `mapstructure:"guest_svn"`
	// File with a report policy (docs/report-policy.md). Excludes `products` and
	// `tcb_floors`.
	Policy string `mapstructure:"policy"`
	// Product lines that get the key: `Genoa` (with Siena and Bergamo), `Turin`,
	// `Milan`. A host with a chip of Milan can forge reports. Default: all of them,
	// with a warning.
	Products []string `mapstructure:"products"`
	// Least reported, committed and launch TCB that gets the key, each
	// `PRODUCT:COMPONENT=N,...`, such as
	// `Genoa:bootloader=10,tee=0,snp=23,microcode=84`, or the word `none`. Default:
	// the floors that come with the service (docs/report-policy.md).
	TCBFloors []string `mapstructure:"tcb_floors"`
	// Codes of critical findings of the conversion, such as `ssh-host-key`, with
	// which the image is registered nevertheless. Without them an image that the
	// host gets into is refused.
	AcceptFindings []string `mapstructure:"accept_findings"`
	// Register the image, but release no key yet. Default: false.
	Disabled bool `mapstructure:"disabled"`
	// Add a release to an image that exists, in place of a new image.
	// Default: false.
	AddRelease bool `mapstructure:"add_release"`
	// File to write the launch bundle to.
	Bundle string `mapstructure:"bundle"`
}
