// Package instancedisk reads and writes what an instance keeps on its disk between
// the LUKS2 header and the payload, beside the sealed VMK: the instance record with
// the sealed guest secret, the generation, the receipt of the claim, the volume key
// for recovery, and the journal of the re-encryption (docs/disk-format.md, "What an
// instance keeps").
//
// The host may write what it likes there. Decoders check form, and that a record is
// of the image and instance that are asked for; what they accept, the encoders give
// back bit by bit. Only the journal is authenticated here. The codes of generations
// and the receipt's signature are checked by whoever has the keys, and a guest secret
// by opening it. Checksums only tell a copy that a power cut has torn from a whole
// one.
package instancedisk
