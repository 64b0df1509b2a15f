package main

import (
	"compress/gzip"
	"errors"
	"fmt"
	"io"

	"github.com/google/renameio/v2"
	"github.com/spf13/cobra"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/embed"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/qemu"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/slots"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/bundle"
)

func newArtifactsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "artifacts",
		Short: "Look at, export and switch the launch bundles on a disk",
		Example: `  snpguard artifacts show --image debian-snp.qcow2
  snpguard artifacts activate --image debian-snp.qcow2 --slot B`,
		Args: wantsCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newArtifactsShowCommand(), newArtifactsExportCommand(), newArtifactsActivateCommand())
	return cmd
}

func newArtifactsExportCommand() *cobra.Command {
	var disk qemu.Files
	var slot, out, format string
	var force bool
	var trusted trustOptions
	cmd := &cobra.Command{
		Use:   "export --image IMG --bundle FILE [flags]",
		Short: "Write a slot of a disk as a launch bundle",
		Long: `Write a slot of a disk as a launch bundle, tar.gz or tar. Its signature and every
file in it are checked before it appears under its name.

Exit codes here: 1 what is on the disk is not genuine.`,
		Example: "  snpguard artifacts export --image debian-snp.qcow2 --bundle launch-artifacts.tar.gz",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if disk.Image == "" || out == "" {
				return usageErrorf("--image and --bundle are needed")
			}
			f, err := bundle.ParseFormat(format)
			if err != nil || f == bundle.SquashFS {
				return usageErrorf("--format: %q, want tar.gz or tar", format)
			}
			if err := checkNew(out, force); err != nil {
				return err
			}
			trust, err := trusted.trust()
			if err != nil {
				return err
			}
			return notGenuine(cmd, disk.Image, withSlot(cmd, disk, slot, func(s *embed.Slot) error {
				return exportSlot(s, trust, out, f)
			}))
		},
	}
	addDiskFlags(cmd, &disk, "disk image")
	cmd.Flags().StringVar(&slot, "slot", "", "A or B (default the active one)")
	cmd.Flags().StringVar(&out, "bundle", "", "file to write")
	cmd.Flags().StringVar(&format, "format", string(bundle.TarGz), "tar.gz or tar")
	addForceFlag(cmd, &force)
	trusted.addFlags(cmd)
	return cmd
}

// withSlot opens a slot of an image, the active one when it has no name.
func withSlot(cmd *cobra.Command, disk qemu.Files, name string, use func(*embed.Slot) error) error {
	a, err := embed.Open(cmd.Context(), disk)
	if err != nil {
		return err
	}
	defer a.Close() //nolint:errcheck // it was only read
	var s *embed.Slot
	switch name {
	case "":
		s, err = a.Active()
	case slots.A, slots.B:
		s, err = a.Slot(name)
	default:
		return usageErrorf("--slot: %q, want A or B", name)
	}
	if err != nil {
		return err
	}
	return use(s)
}

// exportSlot writes a bundle to a file, whole and checked or not at all.
func exportSlot(s *embed.Slot, trust bundle.Trust, out string, format bundle.Format) error {
	pending, err := renameio.NewPendingFile(out, renameio.WithPermissions(0o644))
	if err != nil {
		return err
	}
	defer pending.Cleanup() //nolint:errcheck // nothing is left to do about it
	if format == bundle.Tar {
		err = s.WriteTar(pending, trust)
	} else {
		gz := gzip.NewWriter(pending)
		err = errors.Join(s.WriteTar(gz, trust), gz.Close())
	}
	if err != nil {
		return err
	}
	if _, err := pending.Seek(0, io.SeekStart); err != nil {
		return err
	}
	if _, err := trust.Verify(pending); err != nil {
		return err
	}
	return pending.CloseAtomicallyReplace()
}

func newArtifactsActivateCommand() *cobra.Command {
	var disk qemu.Files
	var slot string
	cmd := &cobra.Command{
		Use:   "activate --image IMG --slot A|B",
		Short: "Switch a disk to the bundle in a slot",
		Long: `Switch a disk to the bundle in a slot, by one write of one sector: the disk has
the old bundle or the new one at any moment. An empty slot is refused. A trial
ends: the slot stays the active one until it is switched again.`,
		Example: "  snpguard artifacts activate --image debian-snp.qcow2 --slot B",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if disk.Image == "" || slot != slots.A && slot != slots.B {
				return usageErrorf("--image and --slot A or --slot B are needed")
			}
			changed, err := embed.Activate(cmd.Context(), disk, slot)
			if err != nil {
				return notGenuine(cmd, disk.Image, err)
			}
			if !changed {
				note(cmd, "snpguard: slot %s is active already", slot)
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), slot)
			return err
		},
	}
	addDiskFlags(cmd, &disk, "disk image")
	cmd.Flags().StringVar(&slot, "slot", "", "A or B")
	return cmd
}
