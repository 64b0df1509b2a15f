// Package e2fsprogs changes unmounted ext2, ext3 and ext4 file systems with the
// programs of e2fsprogs: debugfs for the changes, e2fsck to check them and to
// replay a journal. No root rights are needed.
//
// The file system may start at an offset of the file, but one that fills its
// file is easier to handle. After an error the file holds a file system that is
// changed in part: work on a copy and throw that away.
//
// Names and link targets come from hostile images and end up in debugfs's
// command language. They are always quoted; those with a line break, which it
// has no way to write, are refused.
package e2fsprogs
