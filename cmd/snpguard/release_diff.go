package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/bootdiff"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/bundle"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/releasediff"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// releaseDifferences is the JSON that "snpguard release diff --json" prints.
type releaseDifferences struct {
	Equal       bool                 `json:"equal"`
	Differences []releasediff.Change `json:"differences"`
}

func newReleaseDiffCommand() *cobra.Command {
	var asJSON, shallow bool
	cmd := &cobra.Command{
		Use:   "diff IMAGE A B",
		Short: "Name every difference between two releases",
		Long: `Name every difference between two releases of an image: the command line word by
word, the kernel's version, the initrd file by file and module by module, guest
policy, report policy, variants and provenance. It downloads both bundles, which
needs the role register, and checks their signatures; --no-files compares what the
service tells only. The exit code is 1 when they differ.`,
		Example: "  snpguard release diff debian-13 0f5b6b52-8f6c-4c8e-9d57-51f3f0a7a1b2 7a0c8d1e-33b1-4d5e-8a52-90d7f0c6b4a1",
		Args:    threeArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			service, image, a, err := connectRelease(cmd, args[0], args[1])
			if err != nil {
				return err
			}
			b, err := findRelease(image, args[2])
			if err != nil {
				return err
			}
			changes := releasediff.Compare(a, b)
			if !shallow && !sameBoot(a, b) {
				inside, err := service.compareFiles(cmd, image, [2]*wire.Release{a, b})
				if err != nil {
					return err
				}
				changes = append(changes, inside...)
			}
			return printChanges(cmd, changes, asJSON)
		},
	}
	cmd.Flags().BoolVar(&shallow, "no-files", false, "do not look into kernels and initrds")
	addJSONFlag(cmd, &asJSON)
	return cmd
}

// sameBoot reports whether two releases boot the same kernel and initrd.
func sameBoot(a, b *wire.Release) bool {
	booted := func(r *wire.Release) []wire.Artifact {
		return slices.DeleteFunc(slices.Clone(r.Artifacts), func(f wire.Artifact) bool { return f.Name == bundle.NameFirmware })
	}
	return slices.Equal(booted(a), booted(b))
}

// compareFiles looks into the bundles of two releases.
func (c *connected) compareFiles(cmd *cobra.Command, image *wire.Image, releases [2]*wire.Release) ([]releasediff.Change, error) {
	scratch, remove, err := scratchDir()
	if err != nil {
		return nil, err
	}
	defer remove()
	var boots [2]bootdiff.Boot
	for i, release := range releases {
		dir, _, err := c.extract(cmd, image, release, scratch)
		if err != nil {
			return nil, fmt.Errorf("bundle of release %s: %w", release.ID, err)
		}
		boot, closeFiles, err := openBoot(dir)
		if err != nil {
			return nil, err
		}
		defer closeFiles()
		boots[i] = boot
	}
	return bootdiff.Compare(boots[0], boots[1])
}

func openBoot(dir string) (bootdiff.Boot, func(), error) {
	kernel, err := os.Open(filepath.Join(dir, bundle.NameKernel))
	if err != nil {
		return bootdiff.Boot{}, nil, err
	}
	initrd, err := os.Open(filepath.Join(dir, bundle.NameInitrd))
	if err != nil {
		kernel.Close()
		return bootdiff.Boot{}, nil, err
	}
	return bootdiff.Boot{Kernel: kernel, Initrd: initrd}, func() { kernel.Close(); initrd.Close() }, nil
}

func printChanges(cmd *cobra.Command, changes []releasediff.Change, asJSON bool) error {
	out := cmd.OutOrStdout()
	switch {
	case asJSON:
		if err := printJSON(out, releaseDifferences{len(changes) == 0, append([]releasediff.Change{}, changes...)}); err != nil {
			return err
		}
	case len(changes) == 0:
		_, err := fmt.Fprintln(out, "no difference")
		return err
	}
	for _, c := range changes {
		if asJSON {
			break
		}
		fmt.Fprintln(out, strings.TrimSpace(safe(c.What)+" "+safe(c.Name)))
		if c.Old != "" {
			fmt.Fprintf(out, "  - %s\n", safe(c.Old))
		}
		if c.New != "" {
			fmt.Fprintf(out, "  + %s\n", safe(c.New))
		}
	}
	if len(changes) > 0 {
		return errNo
	}
	return nil
}
