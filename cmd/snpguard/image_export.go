package main

import (
	"github.com/spf13/cobra"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/client"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/client/register"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/bundle"
)

func newImageExportCommand() *cobra.Command {
	var out, release, variant, format string
	var force bool
	cmd := &cobra.Command{
		Use:   "export IMAGE --bundle FILE",
		Short: "Download the launch bundle of a release",
		Long: `Download the launch bundle of a release. Its signature and every file in it are
checked before it appears under its name; SquashFS is taken as it comes.`,
		Example: "  snpguard image export debian-13 --bundle launch-artifacts.tar.gz --variant 4xEPYC-Genoa",
		Args:    oneArg,
		RunE: func(cmd *cobra.Command, args []string) error {
			if out == "" {
				return usageErrorf("--bundle is missing: the file to write")
			}
			f, err := bundle.ParseFormat(format)
			if err != nil {
				return usageError{err}
			}
			if err := checkNew(out, force); err != nil {
				return err
			}
			service, image, found, err := connectRelease(cmd, args[0], release)
			if err != nil {
				return err
			}
			return service.download(cmd, client.BundleRequest{Image: image.ID, Release: found.ID, Variant: variant, Format: f}, out)
		},
	}
	cmd.Flags().StringVar(&out, "bundle", "", "file to write")
	cmd.Flags().StringVar(&release, "release", "", "release to export (default the newest approved one)")
	cmd.Flags().StringVar(&variant, "variant", "", "export this variant only, for example 4xEPYC-Genoa")
	cmd.Flags().StringVar(&format, "format", string(bundle.TarGz), "tar.gz, tar or squashfs")
	addForceFlag(cmd, &force)
	return cmd
}

// download writes a bundle to a file, whole and checked or not at all.
func (c *connected) download(cmd *cobra.Command, r client.BundleRequest, out string) error {
	bar := newProgress(cmd, "download "+out, -1)
	defer bar.done()
	b := register.Bundle{BundleRequest: r, Out: out, Identity: c.identity(), Through: bar.writer}
	return b.Download(cmd.Context(), c.Client)
}
