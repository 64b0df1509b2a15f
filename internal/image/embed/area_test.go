package embed

import (
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/disk/gpt"
)

// TestPlace never gives away what another partition, the present file system or
// the backup of the table has.
func TestPlace(t *testing.T) {
	const mib = 2048 // sectors
	part := func(number int, first, size uint64) gpt.Partition {
		return gpt.Partition{Number: number, Type: gpt.GUID{1}, GUID: gpt.GUID{byte(number)}, First: first * mib, Last: (first+size)*mib - 1}
	}
	for name, tc := range map[string]struct {
		own        bool // the last partition of the list is the present one
		disk, size int64
		parts      []gpt.Partition
		want       area
	}{
		"first":              {false, 8, 16, []gpt.Partition{part(1, 1, 6)}, area{8, 16, 25}},
		"room on the disk":   {false, 40, 16, []gpt.Partition{part(1, 1, 6)}, area{7, 16, 40}},
		"not quite":          {false, 23, 16, []gpt.Partition{part(1, 1, 6)}, area{23, 16, 40}},
		"gap between":        {false, 25, 16, []gpt.Partition{part(1, 1, 1), part(2, 20, 4)}, area{25, 16, 42}},
		"behind present":     {true, 25, 16, []gpt.Partition{part(1, 1, 6), part(2, 8, 16)}, area{25, 16, 42}},
		"before present":     {true, 42, 16, []gpt.Partition{part(1, 1, 6), part(2, 25, 16)}, area{7, 16, 42}},
		"larger":             {true, 42, 20, []gpt.Partition{part(1, 1, 6), part(2, 25, 16)}, area{42, 20, 63}},
		"present in front":   {true, 40, 16, []gpt.Partition{part(1, 20, 3), part(2, 1, 16)}, area{23, 16, 40}},
		"no end of a MiB":    {false, 8, 16, []gpt.Partition{{Number: 1, Type: gpt.GUID{1}, First: 2048, Last: 9000}}, area{8, 16, 25}},
		"room after all":     {true, 60, 16, []gpt.Partition{part(1, 1, 6), part(2, 8, 16)}, area{24, 16, 60}},
		"nothing else on it": {false, 30, 16, nil, area{1, 16, 30}},
	} {
		table := &gpt.Table{SectorSize: 512, Partitions: tc.parts}
		var own *gpt.Partition
		if tc.own {
			own = &table.Partitions[len(tc.parts)-1]
		}
		got := place(table, own, tc.disk<<20, tc.size<<20)
		if want := (area{tc.want.offset << 20, tc.want.size << 20, tc.want.disk << 20}); got != want {
			t.Errorf("%s: at %d MiB on %d MiB, want %d on %d", name, got.offset>>20, got.disk>>20, tc.want.offset, tc.want.disk)
		}
		number, err := point(table, own, got, gpt.GUID{0xff})
		if err != nil {
			t.Fatal(err)
		}
		if err := table.Write(&memory{make([]byte, got.disk)}, got.disk); err != nil {
			t.Errorf("%s: partition %d: %v", name, number, err)
		}
	}
}
