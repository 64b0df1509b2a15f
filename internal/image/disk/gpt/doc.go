// Package gpt reads and writes the partition table of a disk: the GUID
// Partition Table of the UEFI specification 2.10, section 5.3, with logical
// sectors of 512 or 4096 bytes, and, for reading only, the older master boot
// record with its extended partitions.
//
// Detect says what a disk has, Read and ReadMBR take it, Table.Write writes a
// GPT with the same numbers, types, GUIDs, attributes and names. The bytes read
// are hostile: every length is bounded, both checksums are checked, and
// partitions that overlap, leave the disk or share a GUID are refused.
//
// Boot code of a BIOS (the first 440 bytes of the disk) is neither read nor
// written.
package gpt

import "errors"

// ErrTable is a partition table that is damaged or makes no sense.
var ErrTable = errors.New("bad partition table")
