// Package artifacts finds the LAUNCH_ARTIFACTS partition on the disk of the running
// guest's root, for its slots to be read and written without a mount.
package artifacts

import (
	"errors"
	"io"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/slots"
)

// Machine is where disks are found: "/sys" and "/dev" in production.
type Machine struct{ Sys, Dev string }

// Root is the partition of the encrypted root.
type Root struct {
	Name string // as in sysfs, such as "vda2"; the slave of the root's dm-crypt device
}

// ErrNone is a disk without the partition.
var ErrNone = errors.New("the root's disk has no " + slots.Label + " partition")

// Open opens the partition for reading and writing. The closer ends that.
func (m Machine) Open(root Root) (*slots.Partition, io.Closer, error) {
	return nil, nil, errors.ErrUnsupported
}
