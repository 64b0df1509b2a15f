// Package fat reads FAT12, FAT16 and FAT32 with long names, as the EFI system
// partition and an extended boot loader partition have them. It follows Microsoft's
// "FAT: General Overview of On-Disk Format", version 1.03; offsets cite its
// structures.
//
// Open reads the allocation table and every directory, once, and gives each cluster
// one owner: a chain that runs in a circle, two files that share a cluster and a
// chain that leaves the volume are ErrCorrupt before anything is read of a file.
// What it keeps is bounded. Names are told apart without regard to case, as
// firmware and Linux do. FAT knows no owners, links or attributes: everything is
// root's.
package fat

// Limits on what is read, in clusters, files and levels.
const (
	maxClusters = 4 << 20 // 16 MiB of a FAT32's table
	maxFiles    = 64 << 10
	maxDepth    = 64
	maxDirBytes = 2 << 20 // of a directory: 65536 entries of 32 bytes, as the format says

	maxAllDirBytes = 64 << 20
)
