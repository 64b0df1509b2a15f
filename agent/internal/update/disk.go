package update

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/artifacts"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/bootconf"
)

// OpenSlots opens the slots on the disk of the opened root. machine is where devices
// are found, below "/" in production.
func OpenSlots(machine artifacts.Machine) (Slots, func() error, error) {
	partition, err := rootPartition(machine)
	if err != nil {
		return nil, nil, err
	}
	found, closer, err := machine.Open(artifacts.Root{Name: partition})
	if err != nil {
		return nil, nil, err
	}
	return found, closer.Close, nil
}

// rootPartition returns the name of the partition below the dm-crypt device of the
// root: the kernel's word, not the disk's.
func rootPartition(machine artifacts.Machine) (string, error) {
	link, err := os.Readlink(filepath.Join(machine.Dev, "mapper", bootconf.MapperName))
	if err != nil {
		return "", fmt.Errorf("find the root's partition: %w", err)
	}
	below, err := os.ReadDir(filepath.Join(machine.Sys, "class/block", filepath.Base(link), "slaves"))
	if err != nil {
		return "", fmt.Errorf("find the root's partition: %w", err)
	}
	if len(below) != 1 {
		return "", fmt.Errorf("find the root's partition: %s is on %d devices", bootconf.MapperPath, len(below))
	}
	return below[0].Name(), nil
}
