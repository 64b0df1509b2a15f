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
	for _, known := range []map[audit.Reason]advice{requestAdvice, launchAdvice} {
		if a, ok := known[reason]; ok {
			return a
		}
	}
	for _, known := range []func(audit.Reason) (advice, bool){genuineAdvice, policyAdvice} {
		if a, ok := known(reason); ok {
			return a
		}
	}
	return advice{Title: strings.ReplaceAll(string(reason), "_", " "), Meaning: "The rule of this name did not pass.", Do: "Compare what was expected with what was found."}
}

// requestAdvice is on what is wrong with a request, whatever was launched.
var requestAdvice = map[audit.Reason]advice{
	audit.ReasonNonceForged: {
		"Nonce of another service", "The guest answered a challenge that this service did not make.",
		"Check that the guest talks to this service, and that all replicas share one database and one key-encryption key. Nobody outside can make such a nonce.",
	},
	audit.ReasonNonceExpired: {
		"Nonce too old", "The guest took longer to answer the challenge than a nonce lasts.",
		"The guest tries again by itself. If this goes on, look for a slow network or an overloaded host, and at the clocks of the replicas.",
	},
	audit.ReasonNonceUsed: {
		"Nonce used before", "The same answer came twice. Only the first one counts.",
		"Once or twice, a connection was lost and the guest repeated itself. Often, somebody replays recorded requests: they gain nothing by it.",
	},
	audit.ReasonReportFormat: {
		"Not an attestation report", "What the guest sent is no report, or one of a version that is not known here.",
		"Look at the guest's console. A new version of the firmware may need a new version of this service.",
	},
	audit.ReasonBinding: {
		"Report of another request", "The report is not about this nonce, guest key and disk: it was made for another request, or the request was changed on its way.",
		"If the image was converted by another version, convert it anew. Otherwise somebody between guest and service changes requests: they gain nothing by it.",
	},
	audit.ReasonVMPL: {
		"Not from VMPL 0", "The report was asked for by less privileged code in the guest, not by its kernel.",
		"Keys go to VMPL 0 alone. With an SVSM below the kernel, the image cannot be unlocked.",
	},
	audit.ReasonPublicKey: {
		"Guest key malformed", "The key to which the answer would be encrypted is not one.",
		"The agent in the initrd does not fit this service: convert the image with the same version.",
	},
}

// launchAdvice is on what was launched and not registered so.
var launchAdvice = map[audit.Reason]advice{
	audit.ReasonLaunchUnknown: {
		"Launch not registered", "No registered release has these keys and this ID: the guest was launched with another ID block, or with none.",
		"Launch with id-block.bin and id-auth.bin of the release's bundle. If the release was deleted, register it again.",
	},
	audit.ReasonImageDisabled: {
		"Image disabled", "The launch is right, but an operator has disabled the image.",
		"Enable the image if it shall boot again.",
	},
	audit.ReasonReleaseDisabled: {
		"Release disabled", "The launch is right, but an operator has disabled this release.",
		"Launch a newer release, or enable this one if it shall boot again.",
	},
	audit.ReasonReleaseProposed: {
		"Release not approved", "The launch is right, but nobody has approved this release: it was added to the image and is only proposed.",
		"Look at the release and approve it, if it is wanted. If nobody of yours has added it, somebody holds a token of the role register: revoke it.",
	},
	audit.ReasonSimulated: {
		"Image of the other kind", "The image was registered while AMD was trusted and this service trusts a simulated AMD, or the other way round.",
		"Never let a service with --insecure-trust-root use the database of a genuine one.",
	},
	audit.ReasonLaunchLimit: {
		"Too many launches", "So many launches of this image have had their key within its period that no more get one for now.",
		"If you started them, raise the image's launch limit. If you did not, a host boots copies of the disk: look at the grants before this one.",
	},
	audit.ReasonPolicyChanged: {
		"Changed meanwhile", "An operator changed the image or the release in the moment in which this launch was held against what it was.",
		"Nothing: the guest asks again and is held against what it is now.",
	},
	audit.ReasonFamilyID: {
		"Image ID differs", "FAMILY_ID of the launch is not the ID of the image that its keys belong to.",
		"Launch with the ID block of the release's bundle.",
	},
	audit.ReasonMeasurement: {
		"Measurement differs", "What was launched is not what was registered: other firmware, kernel, initrd or command line, or a number or type of vCPUs without a variant.",
		"Compare the launch with the bundle's launch-config.json. “snpguard measure diff” names the first page that differs. If the change is wanted, register a release.",
	},
	audit.ReasonGuestPolicy: {
		"Guest policy differs", "The guest was launched with another guest policy than was registered.",
		"Launch with the guest-policy of the bundle's launch-config.json.",
	},
	audit.ReasonGuestSVN: {
		"Guest SVN differs", "The guest was launched with another security version than was registered.",
		"Launch with the ID block of the release's bundle.",
	},
	audit.ReasonReportIDReleased: {
		"This launch has had its key", "The key went to this launch before, for another key of the guest. A launch gets its key once.",
		"Launch the guest anew. If it was not restarted, somebody made its first stage run twice: look at the first grant, named in the details.",
	},
	audit.ReasonSealedVMK: {
		"Disk of another image", "The sealed volume key on the disk does not open with this release's key.",
		"The disk belongs to another image, or its header was changed. Launch with the disk that was converted together with this release.",
	},
}

// genuineAdvice is on reports that are not genuine.
func genuineAdvice(reason audit.Reason) (advice, bool) {
	switch {
	case reason == audit.ReasonRevoked || reason == audit.Reason(attest.ReasonRevoked):
		return advice{
			"Certificate revoked", "AMD has revoked a certificate of the chip that signed the report.",
			"Nothing that this chip signs can be trusted any more. Move the guest to another host and ask AMD or the host's owner.",
		}, true
	case reason == audit.ReasonCRL:
		return advice{
			"Revocation list forged or old", "The revocation list at hand is not AMD's, or is older than one that was seen before.",
			"Look at who stands between this service and AMD's KDS: a proxy, or an imported archive.",
		}, true
	case reason == audit.Reason(attest.ReasonNoCertificate):
		return advice{
			"No certificate for the chip", "Neither the host nor AMD's KDS has a certificate for this chip at the TCB that it reports.",
			"Check the host's firmware. Without a network, import the chip's certificates in the settings.",
		}, true
	case reason == audit.Reason(attest.ReasonChipIDMasked) || reason == audit.Reason(attest.ReasonChipKeyMasked):
		return advice{
			"Chip hidden by the host", "The host hides the chip's identity or has the report not signed.",
			"Have the host's owner turn MASK_CHIP_ID and MASK_CHIP_KEY off, or use a host that signs with a VLEK.",
		}, true
	case reason == audit.Reason(attest.ReasonRoot):
		return advice{
			"Root not trusted", "The chip's certificates do not lead to a root that is trusted here: AMD's, or the simulated one that was given.",
			"A simulated guest needs a service with --insecure-trust-root. Otherwise the chip is not AMD's.",
		}, true
	case reason == audit.Reason(attest.ReasonSignature) || reason == audit.Reason(attest.ReasonSignatureRange):
		return advice{
			"Signature wrong", "The report was not signed by the chip's key, or was changed afterwards.",
			"A forged or damaged report. If a genuine host shows this again and again, its firmware is at fault.",
		}, true
	}
	return otherGenuineAdvice(reason)
}

// otherGenuineAdvice is on the rest of attest.Reason, which all mean the same to
// an operator.
func otherGenuineAdvice(reason audit.Reason) (advice, bool) {
	certificate := advice{
		Meaning: "A certificate that came with the report, or from the cache, is not what AMD issues.",
		Do:      "Have the host fetch its certificates from AMD's KDS again, or leave them out: the service then asks KDS.",
	}
	chip := advice{
		Meaning: "The report and the certificate of its chip do not fit together.",
		Do:      "After an update of its firmware a host has to fetch the certificate for its new TCB.",
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
		attest.ReasonCertificateTime:      {certificate, "Certificate out of its time"},
		attest.ReasonSigningKey:           {chip, "Signed by another kind of key"},
		attest.ReasonProduct:              {chip, "Another product line"},
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
			"Update the host's firmware and microcode. Lower the floor only if you accept what the update mends.",
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
			"Firmware too old", "The host's SEV firmware is older than the release's policy asks for, or could be rolled back so far.",
			"Update the host's SEV firmware and commit it.",
		},
		"allowed_chips": {
			"Chip not on the list", "The release's policy names the chips that may run it. This one is not among them.",
			"Add the chip to allowed_chips if it is yours.",
		},
		"denied_chips": {
			"Chip denied", "The release's policy names this chip as one that may not run it.",
			"Move the guest to another host, or take the chip off denied_chips.",
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
