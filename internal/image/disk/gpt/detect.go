package gpt

import (
	"fmt"
	"io"
)

// Kind is what sort of partition table a disk has.
type Kind int

// The kinds of partition tables.
const (
	None Kind = iota // a bare file system, or nothing
	GPT
	Master // master boot record
)

// String returns the kind's name.
func (k Kind) String() string {
	switch k {
	case GPT:
		return "GPT"
	case Master:
		return "MBR"
	}
	return "none"
}

// Detect says which partition table a disk of size bytes has and how large its
// logical sectors are: 512 or 4096 for GPT, 512 for MBR, 0 for none.
//
// As in Linux, a master boot record without a protective partition is what
// counts, whatever GPT may be left behind it. A disk with a whole GPT for both
// sizes of sectors, or a protective record without any, is refused. The error
// wraps ErrTable, or is the reader's.
func Detect(r io.ReaderAt, size int64) (sectorSize int, kind Kind, err error) {
	if size < mbrSize {
		return 0, None, nil
	}
	record := make([]byte, mbrSize)
	if n, err := r.ReadAt(record, 0); n < mbrSize {
		return 0, None, fmt.Errorf("read master boot record: %w", err)
	}
	protective, used := false, false
	for _, e := range parseRecord(record) {
		protective = protective || e.kind == typeProtective
		used = used || e.kind != 0
	}
	if used && !protective {
		return mbrSize, Master, nil
	}
	small, errSmall := Read(r, size, 512)
	large, errLarge := Read(r, size, 4096)
	switch {
	case small != nil && large != nil:
		return 0, None, fmt.Errorf("%w: one GPT for sectors of 512 bytes and another for 4096", ErrTable)
	case small != nil:
		return 512, GPT, nil
	case large != nil:
		return 4096, GPT, nil
	case protective && hasHeader(r, 4096) && !hasHeader(r, 512):
		return 0, None, fmt.Errorf("no whole GPT, with sectors of 4096 bytes: %w", errLarge)
	case protective:
		return 0, None, fmt.Errorf("no whole GPT: %w", errSmall)
	}
	return 0, None, nil
}

// hasHeader says whether the second sector begins as a GPT does, so that errors
// tell about the sectors that the disk has.
func hasHeader(r io.ReaderAt, sectorSize int64) bool {
	begin := make([]byte, len(signature))
	_, err := r.ReadAt(begin, sectorSize)
	return err == nil && string(begin) == signature
}
