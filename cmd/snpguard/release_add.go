package main

import (
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/client/register"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/agentbin"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rekernel"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/option"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// Agents that a release can get.
const (
	agentRegistered = "registered"
	agentCurrent    = "current"
)

// releaseAddOptions are the flags of "snpguard release add".
type releaseAddOptions struct {
	packageOptions
	releaseSizes
	from, agent, kernel, initrd string
	json                        bool
}

// releaseSizes are the sizes in which a release can be launched.
type releaseSizes struct {
	VCPUs     []int    `mapstructure:"vcpus" flag:"vcpus" help:"counts of vCPUs, separated by commas (default those of the release)"`
	VCPUTypes []string `mapstructure:"vcpu_types" flag:"vcpu-type,commas" help:"QEMU's names of vCPU models, separated by commas (default those of the release)"`
}

// of fills in what was not given, as a release has it.
func (s releaseSizes) of(r *wire.Release) (counts []int, types []string) {
	counts, types = s.VCPUs, s.VCPUTypes
	for _, v := range r.Variants {
		if len(s.VCPUs) == 0 && !slices.Contains(counts, v.VCPUs) {
			counts = append(counts, v.VCPUs)
		}
		if len(s.VCPUTypes) == 0 && !slices.Contains(types, v.VCPUType) {
			types = append(types, v.VCPUType)
		}
	}
	return counts, types
}

func newReleaseAddCommand() *cobra.Command {
	var o releaseAddOptions
	cmd := &cobra.Command{
		Use:   "add IMAGE --kernel-package FILE [flags]",
		Short: "Propose a release of an image with another kernel",
		Long: `Propose a release of an image with another kernel, without its disk and without
converting it anew. Firmware, command line, agent and configuration come out of a
registered release (--from), kernel and modules out of the packages of a distribution.
The same release and packages give the same bytes, so "snpguard release verify"
recomputes them elsewhere.

Packages are files, or URLs that end in #sha256=HEX. With --signed-by and --index they
must stand in the index of a Debian archive that a key of the keyring has signed and
that is not old; the release tells which archive it was.

An image that was converted with --initrd distribution also needs the initrd that the
distribution makes for this kernel, to which agent and modules are appended: --initrd.
With --kernel in place of packages, kernel and initrd are taken as they are.

The release unlocks nothing until "snpguard release approve".`,
		Example: `  snpguard release add debian-13 --kernel-package linux-image-6.12.121+deb13-cloud-amd64_6.12.121-1_amd64.deb \
      --signed-by /usr/share/keyrings/debian-archive-keyring.gpg --index InRelease --index Packages.xz`,
		Args: oneArg,
		RunE: func(cmd *cobra.Command, args []string) error { return o.run(cmd, args[0]) },
	}
	o.add(cmd)
	f := cmd.Flags()
	f.StringVar(&o.from, "from", "", "release to take the rest from (default the newest in force)")
	f.StringVar(&o.agent, "agent", agentRegistered, "registered: the agent of that release; current: the one in this program")
	f.StringVar(&o.kernel, "kernel", "", "kernel, in place of packages; needs --initrd with the agent in it")
	f.StringVar(&o.initrd, "initrd", "", "initrd of the distribution for the kernel of the packages; or, with --kernel, a complete one")
	option.Flags(f, &o.releaseSizes)
	addJSONFlag(cmd, &o.json)
	return cmd
}

func (o *releaseAddOptions) checkFlags() error {
	switch {
	case o.kernel != "" && o.initrd == "":
		return usageErrorf("--kernel needs --initrd: a complete initrd with the agent")
	case o.kernel != "" && len(o.packages) > 0:
		return usageErrorf("--kernel-package and --kernel exclude each other: either is where the kernel comes from")
	case o.kernel == "" && len(o.packages) == 0:
		return usageErrorf("--kernel-package is missing: give the packages of the kernel")
	case o.agent != agentRegistered && o.agent != agentCurrent:
		return usageErrorf("--agent: %q is neither %s nor %s", o.agent, agentRegistered, agentCurrent)
	case o.kernel != "" && o.agent != agentRegistered:
		return usageErrorf("--agent needs --kernel-package: the initrd of --initrd has its agent")
	}
	return o.check()
}

func (o *releaseAddOptions) run(cmd *cobra.Command, name string) error {
	if err := o.checkFlags(); err != nil {
		return err
	}
	service, image, err := connectImage(cmd, name)
	if err != nil {
		return err
	}
	from, err := chooseFrom(image, o.from, wire.UUID{})
	if err != nil {
		return err
	}
	dir, remove, err := scratchDir()
	if err != nil {
		return err
	}
	defer remove()
	files, provenance, err := o.build(cmd, service, image, from, dir)
	if err != nil {
		return err
	}
	request, err := o.request(image, from, files)
	if err != nil {
		return flagErrors(cmd, err)
	}
	request.Registration.Provenance = provenance
	bar := newProgress(cmd, "upload", request.Size)
	registered, err := request.Send(cmd.Context(), service.Client, bar.add)
	bar.done()
	if err != nil {
		return err
	}
	note(cmd, "The release is proposed. Recompute it on another machine, then let it into force:\n  snpguard release verify %[1]s %[2]s\n  snpguard release approve %[1]s %[2]s", image.ID, registered.Release.ID)
	if o.json {
		return printJSON(cmd.OutOrStdout(), registered)
	}
	return showAdded(cmd, registered)
}

func showAdded(cmd *cobra.Command, registered *wire.Registered) error {
	t := newTable(cmd)
	fmt.Fprintf(t, "image\t%s\nrelease\t%s\n", registered.Image.ID, registered.Release.ID)
	for _, v := range registered.Release.Variants {
		fmt.Fprintf(t, "%dx%s\t%s\n", v.VCPUs, safe(v.VCPUType), safe(v.Measurement))
	}
	return t.Flush()
}

// build makes what the release is measured from.
func (o *releaseAddOptions) build(cmd *cobra.Command, service *connected, image *wire.Image, from *wire.Release, dir string) (*rekernel.Files, *wire.Provenance, error) {
	if o.kernel != "" {
		out, _, err := service.extract(cmd, image, from, dir)
		if err != nil {
			return nil, nil, err
		}
		files, err := rekernel.WithFiles(out, o.kernel, o.initrd)
		return files, nil, err
	}
	base, err := o.openBase(cmd, service, image, from, dir)
	if err != nil {
		return nil, nil, err
	}
	set, err := o.open(cmd.Context(), dir)
	if err != nil {
		return nil, nil, err
	}
	defer set.Close() //nolint:errcheck // it lies in dir, which is removed
	provenance, err := o.provenance(set.Packages)
	if err != nil {
		return nil, nil, err
	}
	kernel, err := rekernel.OfPackages(set, base.Config)
	if err != nil {
		return nil, nil, err
	}
	var agent []byte
	if o.agent == agentCurrent { // of the format of config.json that this program reads
		if agent, err = agentbin.Agent(base.Config.Simulated); err != nil {
			return nil, nil, err
		}
	}
	note(cmd, "Linux %s, %d modules; the rest from release %s", kernel.Release, len(kernel.Modules), from.ID)
	var files *rekernel.Files
	if o.initrd != "" {
		files, err = base.WriteAppended(dir, kernel, agent, o.initrd)
	} else {
		files, err = base.Write(dir, kernel, agent)
	}
	return files, provenance, err
}

// openBase opens the release that the rest comes from.
func (o *releaseAddOptions) openBase(cmd *cobra.Command, service *connected, image *wire.Image, from *wire.Release, dir string) (*rekernel.Release, error) {
	out, m, err := service.extract(cmd, image, from, dir)
	if err != nil {
		return nil, err
	}
	if o.initrd != "" {
		return rekernel.OpenDistribution(out, m)
	}
	base, err := rekernel.Open(out, m)
	if err != nil {
		return nil, fmt.Errorf("%w; where the image was converted with --initrd distribution, give its initrd for the new kernel with --initrd", err)
	}
	return base, nil
}

// request proposes the files as the release before was registered: with its sizes, guest
// policy, policy and findings, which are of the same disk.
func (o *releaseAddOptions) request(image *wire.Image, from *wire.Release, files *rekernel.Files) (*register.Request, error) {
	c := register.Config{
		Firmware: files.Firmware, Kernel: files.Kernel, Initrd: files.Initrd, CmdlineFile: files.Cmdline, ImageID: image.ID.String(),
		AddRelease: true, GuestPolicy: from.GuestPolicy, GuestSVN: from.GuestSVN,
	}
	c.VCPUs, c.VCPUTypes = o.of(from)
	if err := c.Check(); err != nil {
		return nil, err
	}
	r, err := c.Request()
	if err != nil {
		return nil, err
	}
	if len(from.Policy) > 0 && string(from.Policy) != "null" {
		r.Registration.Policy = from.Policy
	}
	if from.Findings != nil {
		r.Registration.Findings = []wire.Finding{}
	}
	for _, f := range from.Findings {
		r.Registration.Findings = append(r.Registration.Findings, wire.Finding{Code: f.Code, Severity: f.Severity, Text: f.Text, Accepted: f.AcceptedBy != ""})
	}
	return r, nil
}
