// Package rootfs is what the converter needs of a file system inside a disk
// image, without mounting it: reading it as an io/fs file system, knowing which
// of its bytes are used, and changing some of its files.
//
// rootfs/ext4 reads ext2, ext3 and ext4; rootfs/debugfs changes them with the
// programs of e2fsprogs; rootfs/guestfs does both for xfs and btrfs with
// libguestfs; rootfs/fat reads FAT. Detect tells which one a partition needs.
// Every byte of an image is hostile.
package rootfs
