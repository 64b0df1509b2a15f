package ext4

import "github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs"

// LookUp returns the blocks with the data of every regular file in use, each looked
// up by its place in the file, and how many files there are.
func (f *FS) LookUp() (blocks map[uint64]bool, files int, err error) {
	blocks = map[uint64]bool{}
	for number := uint32(firstInode); number <= f.sb.inodes; number++ {
		in, err := f.inode(number)
		if err != nil || !in.is(rootfs.ModeRegular) || in.stat.Mode&0o777 == 0o600 {
			continue // nobody's, or the file of orphans
		}
		files++
		end := (uint64(in.stat.Size) + f.sb.blockSize - 1) / f.sb.blockSize
		for block := uint64(0); block < end && !in.has(flagInlineData); {
			r, err := f.lookup(in, block)
			if err != nil {
				return nil, 0, err
			}
			for i := range min(r.length, end-block) {
				if r.start != 0 {
					blocks[r.start+i] = true
				}
			}
			block += r.length
		}
	}
	return blocks, files, nil
}
