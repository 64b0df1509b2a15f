package attest

import (
	"fmt"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/strictjson"
)

// MaxPolicySize bounds a policy document in bytes. It has room for some seven
// thousand chips.
const MaxPolicySize = 1 << 20

// ParsePolicy reads a policy document strictly: one JSON object without unknown
// or repeated names, null or trailing data. docs/report-policy.schema.json is its
// schema. The error wraps ErrPolicy.
func ParsePolicy(data []byte) (*Policy, error) {
	if len(data) > MaxPolicySize {
		return nil, fmt.Errorf("%w: %d bytes, want at most %d", ErrPolicy, len(data), MaxPolicySize)
	}
	p := &Policy{}
	if err := policyRules().Decode(data, p); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrPolicy, err)
	}
	if err := p.Validate(); err != nil {
		return nil, err
	}
	return p, nil
}

// policyRules are those of policy documents, and of parts that read themselves.
func policyRules() strictjson.Rules { return strictjson.Rules{RefuseNull: true} }
