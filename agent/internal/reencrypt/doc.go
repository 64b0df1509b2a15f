// Package reencrypt brings the payload of a disk from the golden key, which all copies
// of an image share, under the volume key of one instance, in place and through any
// number of power cuts (docs/disk-format.md, "The re-encryption").
//
// [Volume.Begin] writes the first record of the journal, before the instance is
// claimed. [Volume.Resume] is called in each boot while the instance is claimed, the
// first included; it repeats what a cut may have interrupted. Then [Work.ReadAt] shows
// the file system, whose used extents [Work.Run] re-encrypts. Until Run has returned
// nil the instance must not become ready.
//
// # Power cuts
//
// Chunk n is encrypted into buffer n mod 2, its record goes to place n mod 2, then
// comes a flush, then the same bytes go where they belong. That flush also makes the
// chunk before durable in its place, so one a chunk is enough; but until it has
// returned, record n may be on the disk while chunk n-1 is not whole. Hence Resume
// repeats both valid records, the older first, and flushes before anything is
// overwritten. A record is valid if its code is right and its buffer has the hash that
// it names. When all is done both places get a record that says so, and Resume repeats
// nothing from then on: were the service restored to a day on which the instance was
// claimed and not ready, the last chunks of the first boot would else go over what was
// written since. Storage that acknowledges a flush and forgets is not covered.
//
// # A hostile host
//
// The host cannot make a record, since their codes are under a key of the volume key,
// and what is written is the copy in memory whose hash was checked. It can put an older
// record and buffer back. A chunk that is repeated is what was written there before, so
// that is nothing new. The boundary that follows is too low, and what lies between is
// taken for golden and encrypted a second time: that part is noise, as if the host had
// written noise, which XTS never kept it from. It learns nothing by it: each pass maps
// a ciphertext to one under the volume key in the same place, what is golden to what it
// has to be, and the rest to noise. Likewise a record or end of another copy of the same
// instance moves the boundary too far: then golden ciphertext is read under the volume
// key, and is noise. Golden plain text is never accepted: it is read above the boundary
// only, for the list of extents, and after Run by nobody. Two valid records that do not follow each other, and a journal
// without any, have no honest cause: Resume stops before it writes, so that an owner
// who gets the right bytes back goes on.
//
// A caller must stop, and not fall back to all of the payload, when ReadAt shows no
// file system: that is how it looks when the boundary is too low.
//
// # Unused blocks
//
// What is in no extent keeps what it held, and reads as noise from then on, as blocks
// that nobody wrote do on any encrypted disk. Golden ciphertext is left there where the
// conversion encrypted free space: it holds zeros and no file, but the host then sees which
// blocks are used by what has changed. Where that must not be seen, the caller gives
// one extent from 0 to the end of the file system.
package reencrypt
