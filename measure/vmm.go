package measure

import (
	"fmt"
	"strings"
)

// VMM is a virtual machine monitor. Each sets up a guest a little differently.
type VMM int

// The virtual machine monitors whose launches can be measured.
const (
	QEMU VMM = iota // QEMU with KVM
	EC2             // Amazon EC2
	GCE             // Google Compute Engine
)

// String returns the name that ParseVMM reads.
func (v VMM) String() string {
	switch v {
	case QEMU:
		return "qemu"
	case EC2:
		return "ec2"
	case GCE:
		return "gce"
	}
	return fmt.Sprintf("VMM(%d)", int(v))
}

// ParseVMM reads a name, in any case.
func ParseVMM(s string) (VMM, error) {
	for _, v := range []VMM{QEMU, EC2, GCE} {
		if strings.EqualFold(s, v.String()) {
			return v, nil
		}
	}
	return 0, fmt.Errorf("%w: unknown VMM %q, want qemu, ec2 or gce", ErrConfig, s)
}

// UsesSignature reports whether a vCPU's signature is part of its first state.
// EC2 and GCE start every type of vCPU alike.
func (v VMM) UsesSignature() bool { return v == QEMU }

// MarshalText returns what String does.
func (v VMM) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (v *VMM) UnmarshalText(text []byte) error {
	parsed, err := ParseVMM(string(text))
	if err != nil {
		return err
	}
	*v = parsed
	return nil
}
