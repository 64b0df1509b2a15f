package web

import "github.com/snpguard-go/packer-plugin-snpguard/service/internal/audit"

// instanceAdvice is on launches of instances, and on the calls of their boots.
var instanceAdvice = map[audit.Reason]advice{
	audit.ReasonInstanceRequired: {
		"No instance named", "The image has instances, and HOST_DATA of this launch names none.",
		"Launch the guest with --instance, or with the instance's HOST_DATA.",
	},
	audit.ReasonInstanceUnknown: {
		"Unknown instance", "HOST_DATA of this launch names an instance that this image does not have.",
		"Check which instance is launched with which image. An instance that was deleted does not come back after a day.",
	},
	audit.ReasonInstanceDisabled: {
		"Instance disabled", "The launch is correct, but an operator has disabled or deleted the instance.",
		"Enable the instance if it should boot again.",
	},
	audit.ReasonInstanceLimit: {
		"Too many instances", "The launches of this image have made as many instances as the image allows.",
		"If you started these launches, raise the limit. If you did not, a host is booting copies of the disk: disable the instances that you do not know.",
	},
	audit.ReasonInstanceKey: {
		"Not the disk of this instance", "The instance was claimed by another record than the disk shows: it is another instance's disk, an old copy, or the golden disk of an instance that has a key of its own.",
		"Launch the instance from its own disk. If you did, someone else has put another one there.",
	},
	audit.ReasonInstanceClaimed: {
		"Claimed by another disk", "A boot wanted to claim an instance that was claimed before, from another copy of the disk.",
		"Create an instance for each copy.",
	},
	audit.ReasonInstanceState: {
		"Call of another state", "A boot made a call that the instance is not ready for, or that it has left behind.",
		"The agent in the initrd does not match this service: convert the image again with the version of the service.",
	},
	audit.ReasonInstanceChanged: {
		"Instance changed in the meantime", "The instance changed while this launch was being checked.",
		"Nothing: the guest asks again and is checked against the new state.",
	},
	audit.ReasonRollback: {
		"Disk rolled back", "The disk is in an older state than the last boot of this instance left it in.",
		"If you restored a snapshot, allow this generation for one boot. If you did not, the host put an old disk back.",
	},
	audit.ReasonGeneration: {
		"Wrong generation", "A boot wanted to commit another generation than the one after that of its grant.",
		"The agent in the initrd does not match this service: convert the image again with the version of the service.",
	},
	audit.ReasonBootSuperseded: {
		"Launched again", "Another launch of the instance has been given its keys since, or the instance was reset: this one goes no further.",
		"Start each instance once, and from one disk. If you did, a host is booting copies of it.",
	},
	audit.ReasonBootKey: {
		"Not from this boot", "The call is not signed by the key of the boot that was given the instance's keys.",
		"Someone else than the agent made this call, which gains an attacker nothing.",
	},
}
