package main

import (
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/client"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/agentbin"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rekernel"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/launch"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/bundle"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/version"
)

// releaseVerifyOptions are the flags of "snpguard release verify".
type releaseVerifyOptions struct {
	packageOptions
	from string
	json bool
}

func newReleaseVerifyCommand() *cobra.Command {
	var o releaseVerifyOptions
	cmd := &cobra.Command{
		Use:   "verify IMAGE RELEASE --kernel-package FILE [flags]",
		Short: "Recompute a release from the packages of its kernel",
		Long: `Recompute a release from the packages of its kernel, before it is approved or whenever
somebody asks: on another machine than the one that proposed it, with packages that were
fetched there. Compared are the kernel, the modules, and that the initrd holds these, the
agent and its configuration in one archive and nothing else; firmware, command line and
configuration with those of another release of the image (--from); and the launch digest
of every variant with what the files of the bundle give.

The agent is "unchecked" unless it is the one in this program, and this program is a
published build: compare with the program of the release that built it. Exits with 1 when anything differs.`,
		Example: `  snpguard release verify debian-13 0f5b6b52-8f6c-4c8e-9d57-51f3f0a7a1b2 \
      --kernel-package linux-image-6.12.121+deb13-cloud-amd64_6.12.121-1_amd64.deb`,
		Args: twoArgs,
		RunE: func(cmd *cobra.Command, args []string) error { return o.run(cmd, args[0], args[1]) },
	}
	o.add(cmd)
	cmd.Flags().StringVar(&o.from, "from", "", "release to compare the rest with (default the newest other one in force)")
	addJSONFlag(cmd, &o.json)
	return cmd
}

func (o *releaseVerifyOptions) run(cmd *cobra.Command, name, release string) error {
	if len(o.packages) == 0 {
		return usageErrorf("--kernel-package is missing: give the packages of the kernel")
	}
	if err := o.check(); err != nil {
		return err
	}
	service, image, found, err := connectRelease(cmd, name, release)
	if err != nil {
		return err
	}
	dir, remove, err := scratchDir()
	if err != nil {
		return err
	}
	defer remove()
	outcome, err := o.compare(cmd, service, image, found, dir)
	if errors.Is(err, rekernel.ErrRelease) || errors.Is(err, rekernel.ErrKernel) || badPackages(err) {
		note(cmd, "snpguard: %s", safe(err.Error()))
		return errNo
	}
	if err != nil {
		return err
	}
	if err := o.show(cmd, outcome.parts); err != nil {
		return err
	}
	if slices.ContainsFunc(outcome.parts, func(p rekernel.Part) bool { return p.State == rekernel.Differs }) {
		note(cmd, "snpguard: release %s is not what the packages give", found.ID)
		return errNo
	}
	return record(cmd, service.Client, image.ID, found, outcome)
}

// outcome is what a verification has found.
type outcome struct {
	parts    []rekernel.Part
	packages []string // SHA-256 of each
}

// compare holds the release against the packages, and against the release before it.
func (o *releaseVerifyOptions) compare(cmd *cobra.Command, service *connected, image *wire.Image, found *wire.Release, dir string) (*outcome, error) {
	r, err := service.openRelease(cmd, image, found, dir)
	if err != nil {
		return nil, err
	}
	set, err := o.open(cmd.Context(), dir)
	if err != nil {
		return nil, err
	}
	defer set.Close() //nolint:errcheck // it lies in dir, which is removed
	provenance, err := o.provenance(set.Packages)
	if err != nil {
		return nil, err
	}
	with := &rekernel.Comparison{}
	if with.Kernel, err = rekernel.OfPackages(set, r.Config); err != nil {
		return nil, err
	}
	with.Published = version.Prerelease == ""
	if with.Agent, err = agentbin.Agent(r.Config.Simulated); err != nil && !errors.Is(err, agentbin.ErrMissing) {
		return nil, err
	}
	if from, err := chooseFrom(image, o.from, found.ID); err == nil {
		if with.From, err = service.openRelease(cmd, image, from, dir); err != nil {
			return nil, err
		}
	} else if o.from != "" {
		return nil, err
	}
	parts, err := r.Compare(with)
	if err != nil {
		return nil, err
	}
	out := &outcome{parts: slices.Concat(packageParts(provenance), []rekernel.Part{compareProvenance(found.Provenance, provenance)}, parts, []rekernel.Part{compareRecord(found, r)})}
	for _, p := range provenance.Packages {
		out.packages = append(out.packages, p.SHA256)
	}
	return out, nil
}

// packageParts says what vouches for the packages.
func packageParts(p *wire.Provenance) (parts []rekernel.Part) {
	for _, k := range p.Packages {
		part := rekernel.Part{Name: "package " + k.Name, State: rekernel.Unchecked, Detail: k.Version + ", SHA-256 " + k.SHA256 + "; no signed index was given"}
		if a := p.Archive; a != nil {
			part.State = rekernel.Same
			part.Detail = fmt.Sprintf("%s, SHA-256 %s, as in %s %s of %s, signed by %s", k.Version, k.SHA256, a.Origin, a.Suite, stamp(a.Date), a.SignedBy)
		}
		parts = append(parts, part)
	}
	return parts
}

// compareProvenance holds what the proposer says that the release was made of against
// the packages that it was recomputed from. Others with the same kernel are no fault.
func compareProvenance(said, used *wire.Provenance) rekernel.Part {
	p := rekernel.Part{Name: "provenance", State: rekernel.Unchecked, Detail: "the proposer names no packages"}
	if said == nil {
		return p
	}
	hashes := func(of *wire.Provenance) (all []string) {
		for _, k := range of.Packages {
			all = append(all, k.SHA256)
		}
		slices.Sort(all)
		return all
	}
	if !slices.Equal(hashes(said), hashes(used)) {
		p.Detail = "the proposer names other packages than these"
		return p
	}
	p.State, p.Detail = rekernel.Same, "the proposer names these packages"
	return p
}

// compareRecord holds what the service says of the release, which is what is approved,
// against the bundle, whose ID blocks are what the AMD-SP checks.
func compareRecord(found *wire.Release, r *rekernel.Release) rekernel.Part {
	p := rekernel.Part{Name: "record of the service", State: rekernel.Same, Detail: "content " + found.ContentHash}
	if problem := recordDiffers(found, r); problem != "" {
		p.State, p.Detail = rekernel.Differs, problem
	}
	return p
}

func recordDiffers(found *wire.Release, r *rekernel.Release) string {
	for _, f := range r.Manifest.Files {
		measured := f.Name == bundle.NameFirmware || f.Name == bundle.NameKernel || f.Name == bundle.NameInitrd
		if measured && !slices.Contains(found.Artifacts, wire.Artifact{Name: f.Name, Size: f.Size, SHA256: f.SHA256}) {
			return fmt.Sprintf("the bundle has another %s than the service shows", f.Name)
		}
	}
	if len(found.Variants) != len(r.Manifest.Variants) {
		return "the bundle has other variants than the service shows"
	}
	for i, v := range r.Manifest.Variants {
		if shown := found.Variants[i]; shown.VCPUs != v.VCPUs || shown.VCPUType != v.VCPUType || shown.Measurement != v.Measurement {
			return fmt.Sprintf("the service shows another launch digest of %s than the bundle", v.Name())
		}
		guest, err := launch.Load(r.Dir, r.Manifest, v.Name())
		if err != nil {
			return fmt.Sprintf("the ID block of %s: %v", v.Name(), err)
		}
		if guest.Cmdline != found.Cmdline {
			return "the service shows another command line than the bundle has"
		}
	}
	return ""
}

func (o *releaseVerifyOptions) show(cmd *cobra.Command, parts []rekernel.Part) error {
	if o.json {
		return printJSON(cmd.OutOrStdout(), parts)
	}
	t := newTable(cmd)
	for _, p := range parts {
		fmt.Fprintf(t, "%s\t%s\t%s\n", safe(p.Name), p.State, safe(p.Detail))
	}
	return t.Flush()
}

// record tells the service that the release, as it was shown, was recomputed. Who
// proposed it, or may only read, is told that this does not count.
func record(cmd *cobra.Command, c *client.Client, image wire.UUID, found *wire.Release, o *outcome) error {
	v := wire.Verification{ContentHash: found.ContentHash, Agent: wire.AgentUnchecked, Packages: o.packages}
	if slices.ContainsFunc(o.parts, func(p rekernel.Part) bool { return p.Name == rekernel.PartAgent && p.State == rekernel.Same }) {
		v.Agent = wire.AgentPublished
	}
	_, err := c.VerifyRelease(cmd.Context(), image, found.ID, v)
	if problem := (*wire.Problem)(nil); errors.As(err, &problem) && problem.Code == wire.CodeForbidden {
		note(cmd, "snpguard: the service does not record this: %s", safe(problem.Error()))
		return nil
	}
	if err == nil {
		note(cmd, "The service has recorded that you recomputed this content.")
	}
	return err
}
