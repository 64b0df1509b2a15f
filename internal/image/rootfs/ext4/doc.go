// Package ext4 reads ext2, ext3 and ext4 file systems without mounting them.
// The format is the one of the Linux kernel's documentation (filesystems/ext4).
//
// Open checks the superblock; everything else is read when it is asked for, and
// every number in it is hostile: block numbers are held against the file
// system's size, trees against their depth, directories and paths against
// limits on the work they may cause. Where the file system has metadata
// checksums they are verified. It cannot change a file system,
// replay a journal or read encrypted files. New lays a new file system out.
package ext4
