// Package update is the running guest's part of changing to another release: it asks
// the service of the measured configuration which release there is for the kernels
// that are installed, checks the bundle by the measured identity key, writes it to the
// slot that is not in use, and confirms a release that has booted (docs/updates.md).
//
// The network and the partition with the slots are the host's. It can withhold all of
// this; it cannot have a bundle written that the service did not just name.
package update
