package instance

import (
	"errors"
	"io"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/disk/instancedisk"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// Shown is what the disk shows of an instance, read once: the host may answer
// differently the next time.
type Shown struct {
	Sealed      [][]byte // sealed guest secrets, each once
	Generations [2]instancedisk.Generation

	// Foreign says that there are records, and that they are of another image or
	// instance: a disk was confused with another one.
	Foreign bool
}

// Read reads what a root partition shows of an instance. The error is one of reading.
func Read(r io.ReaderAt, image, id wire.UUID) (Shown, error) {
	of := instancedisk.ID{Image: image, Instance: id}
	var s Shown
	found, err := instancedisk.ReadRecords(r, of)
	s.Foreign = errors.Is(err, instancedisk.ErrID)
	if err != nil && !s.Foreign && !errors.Is(err, instancedisk.ErrForm) {
		return Shown{}, err
	}
	for _, sealed := range found {
		if len(sealed) == wire.SealedGuestSecretSize {
			s.Sealed = append(s.Sealed, sealed)
		}
	}
	if s.Generations, err = instancedisk.ReadGenerations(r, of); err != nil {
		return Shown{}, err
	}
	for place, g := range s.Generations {
		if g.Number >= wire.MaxGeneration {
			s.Generations[place] = instancedisk.Generation{}
		}
	}
	return s, nil
}

// Disk is the same for the service.
func (s Shown) Disk() wire.InstanceDisk {
	d := wire.InstanceDisk{Sealed: s.Sealed}
	for _, g := range s.Generations {
		if g.Number != 0 {
			d.Generations = append(d.Generations, wire.Generation{Number: g.Number, MAC: g.MAC[:]})
		}
	}
	return d
}

// newest returns the highest generation that is authentic under a volume key, 0 for none,
// and the place of the other.
func (s Shown) newest(volumeKey []byte, image, id wire.UUID) (number uint64, next int) {
	number, next, err := instancedisk.Newest(s.Generations, func(g instancedisk.Generation) bool {
		mac, err := wire.GenerationMAC(volumeKey, image, id, g.Number)
		return err == nil && mac == g.MAC
	})
	if err != nil {
		return 0, 0
	}
	return number, next
}
