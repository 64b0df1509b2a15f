package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/disk/gpt"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/disk/instancedisk"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/qemu"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

func newInstanceAdoptCommand() *cobra.Command {
	var disk qemu.Files
	var file string
	cmd := &cobra.Command{
		Use:   "adopt INSTANCE --disk FILE | --receipt FILE",
		Short: "Have a service that was restored from a backup recognise an instance's disk",
		Long: `Have a service that was restored from a backup recognise the disk of an instance that
was claimed after the backup was made, and is new to the service therefore. The disk
keeps a receipt, signed by the service when the instance was claimed; this command reads
it from the disk image, which must not be in use, and shows it to the service. A disk
that the instance had before a reset or a deletion is refused.

--receipt takes the receipt alone, as a file of 512 bytes: those at 12 MiB + 32 KiB of
the root partition.`,
		Example: `  snpguard instance adopt web-1 --disk web-1.qcow2
  snpguard instance adopt web-1 --disk web-1.qcow2 --backing debian-snp.qcow2`,
		Args: oneArg,
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case (disk.Image == "") == (file == ""):
				return usageErrorf("give either --disk, the disk of the instance, or --receipt, a file with the receipt alone")
			case disk.Backing != "" && disk.Image == "":
				return usageErrorf("--backing needs --disk")
			}
			service, found, err := connectInstance(cmd, args[0])
			if err != nil {
				return err
			}
			id := instancedisk.ID{Image: found.ImageID, Instance: found.ID}
			receipt, err := readReceipt(cmd.Context(), disk, file, id)
			if err != nil {
				return err
			}
			if _, err = service.AdoptInstance(cmd.Context(), found.ID, wire.InstanceAdoption{Sealed: receipt.Sealed[:], Receipt: receipt.Signature[:]}); err != nil {
				return err
			}
			note(cmd, "The service knows the disk of instance %s again: launch it as before.", safe(found.Name))
			return nil
		},
	}
	cmd.Flags().StringVar(&disk.Image, "disk", "", "disk of the instance, qcow2 or raw")
	cmd.Flags().StringVar(&disk.Backing, "backing", "", "golden image that --disk is a qcow2 overlay on; the name in its header is not followed")
	cmd.Flags().StringVar(&file, "receipt", "", "file with the receipt alone, in place of --disk")
	return cmd
}

// readReceipt reads the receipt of an instance from its disk, or from a file.
func readReceipt(ctx context.Context, disk qemu.Files, file string, id instancedisk.ID) (instancedisk.Receipt, error) {
	if file != "" {
		data, err := readWhole(file, instancedisk.ReceiptSize)
		if err != nil {
			return instancedisk.Receipt{}, err
		}
		receipt, err := instancedisk.DecodeReceipt(data, id)
		return receipt, noReceipt(file, err)
	}
	source, err := disk.Probe()
	if err != nil {
		return instancedisk.Receipt{}, err
	}
	d, err := qemu.Open(ctx, source)
	if err != nil {
		return instancedisk.Receipt{}, err
	}
	receipt, err := findReceipt(d, id)
	return receipt, errors.Join(noReceipt(disk.Image, err), d.Close())
}

// noReceipt says which file has no receipt, and why.
func noReceipt(path string, err error) error {
	switch {
	case errors.Is(err, instancedisk.ErrID):
		return fmt.Errorf("%s: the receipt is of another instance: %w", path, err)
	case errors.Is(err, instancedisk.ErrForm):
		return fmt.Errorf("%s: it has no receipt of a claim: %w", path, err)
	case err != nil:
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// findReceipt looks for the receipt in every partition that has room for one. What is
// on the disk is hostile; the service checks the signature. The error wraps
// instancedisk.ErrForm, instancedisk.ErrID or gpt.ErrTable, or is the disk's.
func findReceipt(d *qemu.Disk, id instancedisk.ID) (instancedisk.Receipt, error) {
	sector, kind, err := gpt.Detect(d, d.Size())
	if err != nil {
		return instancedisk.Receipt{}, err
	}
	if kind != gpt.GPT {
		return instancedisk.Receipt{}, fmt.Errorf("its partition table is %s, want GPT", kind)
	}
	t, err := gpt.Read(d, d.Size(), sector)
	if err != nil {
		return instancedisk.Receipt{}, err
	}
	why := fmt.Errorf("%w: no partition has room for one", instancedisk.ErrForm)
	for i := range t.Partitions {
		p := &t.Partitions[i]
		if t.Size(p) < instancedisk.End {
			continue
		}
		sector := make([]byte, instancedisk.ReceiptSize)
		if _, err := d.ReadAt(sector, t.Offset(p)+instancedisk.ReceiptOffset); err != nil {
			return instancedisk.Receipt{}, fmt.Errorf("read partition %d: %w", p.Number, err)
		}
		receipt, err := instancedisk.DecodeReceipt(sector, id)
		if err == nil {
			return receipt, nil
		}
		if !errors.Is(why, instancedisk.ErrID) {
			why = fmt.Errorf("partition %d: %w", p.Number, err)
		}
	}
	return instancedisk.Receipt{}, why
}
