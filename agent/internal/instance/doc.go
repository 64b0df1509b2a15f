// Package instance does what the boot of an instance needs beyond the unlock. An
// instance is one VM of an image; its disk begins as a copy of the golden one and ends
// under a volume key that no other copy has (docs/boot.md, "The first boot of an
// instance"; docs/disk-format.md has the records).
//
// [First] is a boot of a new or claimed instance: a list of steps, each of which any
// later boot may repeat after a power cut or a lost answer. [Later] is a boot of a ready
// one, which raises the generation. Until Run has returned nil no system may start.
//
// Nothing that comes from the disk decides which key is used: the state comes with the
// service's signed grant, offsets and sizes from the measured configuration and the
// kernel. A claimed instance whose disk shows no file system, or no journal, stops: to
// begin anew would destroy what an owner could still bring back.
package instance
