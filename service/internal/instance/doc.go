// Package instance answers the boots of instances: that a new one is claimed, that its
// disk is under its volume key, and that a boot has the next generation
// (docs/protocol.md, "Instances").
//
// A call is judged like an unlock, by package unlock: only a guest that would be given
// its keys is answered. Besides, it comes from the launch that was granted last, by
// REPORT_ID, and is signed by that boot's key, which never leaves the initrd's memory.
// Both are looked at while nobody else changes the instance. Each call may be repeated:
// its answer may have been lost. Answers are signed by the identity key for one call.
package instance
