package web

import (
	"strings"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/attest"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/audit"
)

// advice is what people are told of a denial: in a few words, what it means, and
// what to do about it.
type advice struct{ Title, Meaning, Do string }

// adviceOn returns the advice on the reason of an audit record. One that is not
// known here has its code as title.
func adviceOn(reason audit.Reason) advice {
	if reason == "" {
		return advice{}
	}
	for _, known := range []map[audit.Reason]advice{requestAdvice, launchAdvice, instanceAdvice} {
		if a, ok := known[reason]; ok {
			return a
		}
	}
	for _, known := range []func(audit.Reason) (advice, bool){genuineAdvice, policyAdvice} {
		if a, ok := known(reason); ok {
			return a
		}
	}
	return advice{Title: strings.ReplaceAll(string(reason), "_", " "), Meaning: "The rule with this name failed.", Do: "Compare the expected value with the one found."}
}

// requestAdvice is on what is wrong with a request, whatever was launched.
var requestAdvice = map[audit.Reason]advice{
	audit.ReasonNonceForged: {
		"Nonce of another service", "The guest answered a challenge that this service did not make.",
		"Check that the guest talks to this service, and that all replicas share one database and one key-encryption key. Only a service with that key can make a nonce.",
	},
	audit.ReasonNonceExpired: {
		"Nonce too old", "The guest answered the challenge after its nonce had expired.",
		"The guest tries again on its own. If this continues, check for a slow network, an overloaded host and replicas whose clocks differ.",
	},
	audit.ReasonNonceUsed: {
		"Nonce used before", "The same answer came twice. Only the first one counts.",
		"If it happens once or twice, a connection was lost and the guest repeated its request. If it happens often, recorded requests are being replayed, which gains an attacker nothing.",
	},
	audit.ReasonReportFormat: {
		"Not an attestation report", "What the guest sent is not an attestation report, or has a version that this service does not know.",
		"Check the guest's console. Newer firmware may need a newer version of this service.",
	},
	audit.ReasonBinding: {
		"Report of another request", "The report does not cover this nonce, guest key and disk: it was made for another request, or the request was changed in transit.",
		"If the image was converted by another version, convert it again. Otherwise requests are being changed between guest and service, which gains an attacker nothing.",
	},
	audit.ReasonVMPL: {
		"Not from VMPL 0", "The report was requested by less privileged code in the guest, not by its kernel.",
		"Keys are given only to VMPL 0. An image that runs above an SVSM cannot be unlocked.",
	},
	audit.ReasonPublicKey: {
		"Guest key malformed", "The key that the guest sent, to encrypt the answer to, is not valid.",
		"The agent in the initrd does not match this service: convert the image again with the version of the service.",
	},
}

// launchAdvice is on what was launched and not registered so.
var launchAdvice = map[audit.Reason]advice{
	audit.ReasonLaunchUnknown: {
		"Launch not registered", "No registered release has these keys and this ID: the guest was launched with a different ID block, or without one.",
		"Launch the guest with id-block.bin and id-auth.bin from the release's bundle. If the release was deleted, register it again.",
	},
	audit.ReasonImageDisabled: {
		"Image disabled", "The launch is correct, but an operator has disabled the image.",
		"Enable the image if it should boot again.",
	},
	audit.ReasonReleaseRejected: {
		"Release rejected", "The launch is correct, but this release was proposed and then rejected.",
		"Launch an approved release. If nobody should have this one, find out where the guest got it.",
	},
	audit.ReasonReleaseRetired: {
		"Release retired", "The launch is correct, but this release is retired.",
		"Launch a newer release. An admin can restore this one if guests still need it.",
	},
	audit.ReasonReleaseProposed: {
		"Release not approved", "The launch is correct, but this release was only proposed and has not been approved.",
		"Review the release and approve it if you want it. If none of you added it, a token with the role register has leaked: revoke it.",
	},
	audit.ReasonSimulated: {
		"Image of the other kind", "The image was registered while AMD was trusted and this service trusts a simulated AMD, or the other way round.",
		"Never use the database of a genuine service with --insecure-trust-root.",
	},
	audit.ReasonLaunchLimit: {
		"Too many launches", "This image has reached its launch limit: no more launches get the key until the period has passed.",
		"If you started these launches, raise the image's launch limit. If you did not, a host is booting copies of the disk: check the grants before this denial.",
	},
	audit.ReasonPolicyChanged: {
		"Changed in the meantime", "An operator changed the image or the release while this launch was being checked.",
		"Nothing: the guest asks again and is checked against the new state.",
	},
	audit.ReasonFamilyID: {
		"Image ID differs", "The FAMILY_ID of the launch is not the ID of the image that its keys belong to.",
		"Launch the guest with the ID block from the release's bundle.",
	},
	audit.ReasonMeasurement: {
		"Measurement differs", "What was launched is not what was registered: the firmware, kernel, initrd or command line differs, or there is no variant for the number or type of vCPUs.",
		"Compare the launch with the bundle's launch-config.json. “snpguard measure diff” names the first page that differs. If the change is intended, register it as a release.",
	},
	audit.ReasonGuestPolicy: {
		"Guest policy differs", "The guest was launched with a guest policy other than the registered one.",
		"Launch the guest with the guest-policy from the bundle's launch-config.json.",
	},
	audit.ReasonGuestSVN: {
		"Guest SVN differs", "The guest was launched with a security version other than the registered one.",
		"Launch the guest with the ID block from the release's bundle.",
	},
	audit.ReasonReportIDReleased: {
		"This launch already has its key", "This launch was already given the key, encrypted to a different guest key. A launch gets its key only once.",
		"Start the guest again. If it was not restarted, its first boot stage was made to run twice: check the first grant, which the details name.",
	},
	audit.ReasonSealedVMK: {
		"Disk of another image", "The sealed volume key on the disk cannot be opened with this release's key.",
		"The disk belongs to another image, or its header was changed. Launch the guest with the disk from the same conversion as this release.",
	},
}

// genuineAdvice is on reports that are not genuine.
func genuineAdvice(reason audit.Reason) (advice, bool) {
	switch {
	case reason == audit.ReasonRevoked || reason == audit.Reason(attest.ReasonRevoked):
		return advice{
			"Certificate revoked", "AMD has revoked a certificate of the chip that signed the report.",
			"Nothing that this chip signs can be trusted any more. Move the guest to another host, and ask AMD or the owner of the host about the chip.",
		}, true
	case reason == audit.ReasonCRL:
		return advice{
			"Revocation list forged or old", "The revocation list is not signed by AMD, or is older than one seen before.",
			"Check what this service gets AMD's lists from: a proxy in front of AMD's KDS, or an imported archive.",
		}, true
	case reason == audit.Reason(attest.ReasonNoCertificate):
		return advice{
			"No certificate for the chip", "Neither the host nor AMD's KDS has a certificate for this chip at the TCB that it reports.",
			"Check the host's firmware. Without a network, import the chip's certificates in the settings.",
		}, true
	case reason == audit.Reason(attest.ReasonChipIDMasked) || reason == audit.Reason(attest.ReasonChipKeyMasked):
		return advice{
			"Chip hidden by the host", "The host hides the chip's identity, or does not let it sign reports.",
			"Ask the owner of the host to turn off MASK_CHIP_ID and MASK_CHIP_KEY, or use a host that signs with a VLEK.",
		}, true
	case reason == audit.Reason(attest.ReasonRoot):
		return advice{
			"Root not trusted", "The chip's certificates do not lead to a root that this service trusts: AMD's, or the one given with --insecure-trust-root.",
			"A simulated guest needs a service with --insecure-trust-root. Otherwise the chip is not AMD's.",
		}, true
	case reason == audit.Reason(attest.ReasonSignature) || reason == audit.Reason(attest.ReasonSignatureRange):
		return advice{
			"Signature wrong", "The report was not signed by the chip's key, or was changed afterwards.",
			"The report is forged or damaged. If this keeps happening on a genuine host, its firmware is faulty.",
		}, true
	}
	return otherGenuineAdvice(reason)
}

// otherGenuineAdvice is on the rest of attest.Reason, which all mean the same to
// an operator.
func otherGenuineAdvice(reason audit.Reason) (advice, bool) {
	certificate := advice{
		Meaning: "A certificate that came with the report, or from the cache, is not what AMD issues.",
		Do:      "Let the host fetch its certificates from AMD's KDS again, or send none: the service then asks the KDS itself.",
	}
	chip := advice{
		Meaning: "The report does not match the certificate of its chip.",
		Do:      "After a firmware update, a host must fetch the certificate for its new TCB.",
	}
	titles := map[attest.Reason]struct {
		advice
		title string
	}{
		attest.ReasonCertificateFormat:    {certificate, "Certificate unreadable"},
		attest.ReasonCertificateKey:       {certificate, "Certificate with a wrong key"},
		attest.ReasonCertificateName:      {certificate, "Certificate with a wrong name"},
		attest.ReasonCertificateUsage:     {certificate, "Certificate for another use"},
		attest.ReasonCertificateSignature: {certificate, "Certificate not signed by AMD"},
		attest.ReasonCertificateTime:      {certificate, "Certificate expired or not yet valid"},
		attest.ReasonSigningKey:           {chip, "Signed by a different kind of key"},
		attest.ReasonProduct:              {chip, "Different product line"},
		attest.ReasonChipID:               {chip, "Another chip"},
		attest.ReasonTCB:                  {chip, "Another TCB"},
		attest.ReasonTCBReserved:          {chip, "TCB malformed"},
	}
	found, ok := titles[attest.Reason(reason)]
	found.Title = found.title
	return found.advice, ok
}

// policyAdvice is on rules of a release's report policy.
func policyAdvice(reason audit.Reason) (advice, bool) {
	rule, part, _ := strings.Cut(string(reason), ".")
	a, ok := map[string]advice{
		"tcb_floors": {
			"TCB too old", "The host's firmware is below the floor that the release's policy sets for the " + part + " TCB.",
			"Update the host's firmware and microcode. Lower the floor only if you accept the vulnerabilities that the update fixes.",
		},
		"guest_policy": {
			"Guest policy not accepted", "The guest was launched with a policy that the release's report policy does not accept.",
			"Register a release with another guest policy, or change the rule " + string(reason) + ".",
		},
		"platform": {
			"Platform not accepted", "The host is configured in a way that the release's report policy does not accept.",
			"Change the host's configuration, or the rule " + string(reason) + ".",
		},
		"min_firmware": {
			"Firmware too old", "The host's SEV firmware is older than the release's policy requires, or can be rolled back to a version that is.",
			"Update the host's SEV firmware and commit it.",
		},
		"allowed_chips": {
			"Chip not on the list", "The release's policy lists the chips that may run it, and this chip is not among them.",
			"Add the chip to allowed_chips if it is yours.",
		},
		"denied_chips": {
			"Chip denied", "The release's policy lists this chip as one that must not run it.",
			"Move the guest to another host, or remove the chip from denied_chips.",
		},
	}[rule]
	if ok {
		return a, true
	}
	switch rule {
	case "min_report_version", "products", "signing_keys", "csp_ids", "min_guest_svn", "host_data", "launch_mitigations", "current_mitigations":
		return advice{
			"Policy: " + strings.ReplaceAll(rule, "_", " "), "The report is genuine, but the release's report policy does not accept it.",
			"Move the guest to a host that meets the policy, or change the rule " + rule + ".",
		}, true
	}
	return advice{}, false
}
