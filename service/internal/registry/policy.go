package registry

import (
	"encoding/json"

	"github.com/snpguard-go/packer-plugin-snpguard/idblock"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/attest"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/size"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
)

// defaultPolicy asks for what attest.Policy asks for by itself.
const defaultPolicy = `{"version":1}`

// parsePolicy reads the report policy of an image and returns it also as it is
// stored: with what counts where it says nothing written into it, so that it shows
// whole what is in force. The error is a *RefusedError.
func parsePolicy(document json.RawMessage) (*attest.Policy, []byte, error) {
	return readPolicy(document, (*attest.Policy).Complete)
}

// readPolicy is parsePolicy with how a policy is completed.
func readPolicy(document json.RawMessage, complete func(*attest.Policy)) (*attest.Policy, []byte, error) {
	if noPolicy(document) {
		document = json.RawMessage(defaultPolicy)
	}
	policy, err := attest.ParsePolicy(document)
	if err != nil {
		return nil, nil, refused("policy: %v", err)
	}
	if err := checkOwnFields(policy); err != nil {
		return nil, nil, err
	}
	complete(policy)
	stored, err := json.Marshal(policy)
	if err != nil {
		return nil, nil, refused("policy: %v", err)
	}
	if len(stored) > store.MaxBytes {
		return nil, nil, refused("policy: it is larger than %s", size.Text(store.MaxBytes))
	}
	return policy, stored, nil
}

// noPolicy reports whether a request has no policy.
func noPolicy(document json.RawMessage) bool {
	return len(document) == 0 || string(document) == "null"
}

// parseTightening is parsePolicy for what a release demands beyond its image, which
// may be nothing: nil then.
func parseTightening(document json.RawMessage) (*attest.Policy, []byte, error) {
	if noPolicy(document) {
		return nil, nil, nil
	}
	return readPolicy(document, (*attest.Policy).CompleteBeside)
}

// checkOwnFields refuses fields that the service fixes from what it measured and
// signed, or from the protocol: a second opinion could only be wrong.
func checkOwnFields(p *attest.Policy) error {
	for _, field := range []struct {
		name  string
		given bool
	}{
		{"vmpls", p.VMPLs != nil},
		{"measurements", p.Measurements != nil},
		{"id_key_digests", p.IDKeyDigests != nil},
		{"author_key", p.AuthorKey != nil},
		{"author_key_digests", p.AuthorKeyDigests != nil},
		{"family_id", p.FamilyID != nil},
		{"image_id", p.ImageID != nil},
		{"report_data", p.ReportData != nil},
	} {
		if field.given {
			return refused("policy: leave %s out: the service itself sets it for each release", field.name)
		}
	}
	return nil
}

// checkGuestPolicy refuses a guest policy that opens the guest to its host,
// unless the report policy says in so many words that this is wanted.
func checkGuestPolicy(guest idblock.GuestPolicy, p *attest.Policy) error {
	if guest.Has(idblock.PolicyDebug) && !p.GuestPolicy.AllowDebug {
		return refused("guest policy %s lets the host read and write the guest's memory; "+
			"if that is wanted, set guest_policy.allow_debug in the report policy too", guest)
	}
	if guest.Has(idblock.PolicyMigrateMA) && !p.GuestPolicy.AllowMigrationAgent {
		return refused("guest policy %s lets a migration agent move the guest elsewhere; "+
			"if that is wanted, set guest_policy.allow_migration_agent in the report policy too", guest)
	}
	return nil
}
