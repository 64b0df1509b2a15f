package bootconf

import (
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"regexp"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/identity"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/seal"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/strictjson"
)

// Encode returns the document. The same configuration gives the same bytes.
// The error wraps ErrConfig.
func (c *Config) Encode() ([]byte, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	encoded, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode boot configuration: %w", err)
	}
	return append(encoded, '\n'), nil
}

// Parse reads what Encode wrote and nothing looser. The error wraps ErrConfig.
func Parse(encoded []byte) (*Config, error) {
	if len(encoded) > MaxSize {
		return nil, fmt.Errorf("%w: %d bytes, at most %d are taken", ErrConfig, len(encoded), MaxSize)
	}
	var c Config
	if err := strictjson.Decode(encoded, &c); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	if err := c.Validate(); err != nil {
		return nil, err
	}
	return &c, nil
}

// Validate checks every field. The error wraps ErrConfig and names the field.
func (c *Config) Validate() error {
	for _, check := range []struct {
		field string
		err   error
	}{
		{"format", want(c.Format == Format, "%d, want %d", c.Format, Format)},
		{"image_id", want(!c.ImageID.IsZero(), "is zero")},
		{"services", CheckServices(c.Services)},
		{"ca", want(x509.NewCertPool().AppendCertsFromPEM([]byte(c.CA)), "has no certificate")},
		{"identity_key", checkIdentity(c.IdentityKey)},
		{"vmk_commitment", checkCommitment(c.VMKCommitment)},
		{"root", c.Root.validate()},
		{"network", c.Network.validate()},
		{"deadline", want(c.Deadline > 0 && c.Deadline <= 24*60*60, "%d s, want 1 to 86400", c.Deadline)},
		{"initrd", CheckInitrd(c.Initrd)},
		{"modules", want(c.Modules == ModulesRequired || c.Modules == ModulesOptional, "%q is neither %s nor %s", c.Modules, ModulesRequired, ModulesOptional)},
		{"unsealing_key", checkUnsealingKey(c.UnsealingKey)},
		{"recovery_recipients", checkRecipients(c.RecoveryRecipients)},
	} {
		if check.err != nil {
			return fmt.Errorf("%w: %s: %w", ErrConfig, check.field, check.err)
		}
	}
	return nil
}

func want(ok bool, format string, args ...any) error {
	if ok {
		return nil
	}
	return fmt.Errorf(format, args...)
}

// CheckServices wants addresses of services as guests take them: 1 to 16, each
// https://HOST[:PORT].
func CheckServices(services []string) error {
	if len(services) == 0 || len(services) > 16 {
		return fmt.Errorf("%d URLs, want 1 to 16", len(services))
	}
	for _, s := range services {
		u, err := url.Parse(s)
		if err != nil {
			return err
		}
		if u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
			return fmt.Errorf("%q is not of the form https://HOST[:PORT]", s)
		}
	}
	return nil
}

func checkIdentity(raw []byte) error {
	_, err := identity.Parse(raw)
	return err
}

func checkUnsealingKey(raw []byte) error {
	_, err := seal.ParsePublicKey(raw)
	return err
}

// recipient is the shape of age's native recipients. Whether it is one, the converter
// has checked, and the agent does before it encrypts to it.
var recipient = regexp.MustCompile(`^age1[0-9a-z]{50,}$`)

// maxRecipient is above the length of every recipient in bytes.
const maxRecipient = 4000

func checkRecipients(recipients []string) error {
	if len(recipients) > MaxRecipients {
		return fmt.Errorf("%d recipients, at most %d are taken", len(recipients), MaxRecipients)
	}
	for i, r := range recipients {
		if len(r) > maxRecipient || !recipient.MatchString(r) {
			return fmt.Errorf("number %d is not an age recipient (age1...)", i+1)
		}
	}
	return nil
}

func checkCommitment(s string) error {
	b, err := hex.DecodeString(s)
	return want(err == nil && len(b) == 32, "want 64 hexadecimal digits")
}

// isUUID takes 36 characters in lower case: GPT's and the file systems' alike.
func isUUID(s string) bool { return uuid.MatchString(s) }

var uuid = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

func (r *Root) validate() error {
	knownFS := r.Filesystem == "ext4" || r.Filesystem == "xfs" || r.Filesystem == "btrfs"
	for _, err := range []error{
		want(isUUID(r.PartitionGUID), "partition_guid %q is not a UUID in lower case", r.PartitionGUID),
		want(r.SealedVMKOffset > 0 && r.SealedVMKOffset%4096 == 0, "sealed_vmk_offset %d is not a positive multiple of 4096", r.SealedVMKOffset),
		want(r.PayloadOffset >= r.SealedVMKOffset+4096 && r.PayloadOffset%4096 == 0, "payload_offset %d does not follow the sealed VMK", r.PayloadOffset),
		want(r.Cipher == Cipher, "cipher %q, want %q", r.Cipher, Cipher),
		want(r.SectorSize == 512 || r.SectorSize == 4096, "sector_size %d, want 512 or 4096", r.SectorSize),
		want(knownFS, "filesystem %q is none of ext4, xfs, btrfs", r.Filesystem),
		want(isUUID(r.FilesystemUUID), "filesystem_uuid %q is not a UUID in lower case", r.FilesystemUUID),
		r.Mount.validate(r.Filesystem),
	} {
		if err != nil {
			return err
		}
	}
	return nil
}

func (n *Network) validate() error {
	if n.MAC != "" {
		if _, err := net.ParseMAC(n.MAC); err != nil {
			return fmt.Errorf("mac: %w", err)
		}
	}
	switch n.Mode {
	case ModeDHCP:
		return want(len(n.Addresses)+len(n.Gateways)+len(n.DNS) == 0, "addresses, gateways and dns are for mode %q", ModeStatic)
	case ModeStatic:
		return n.validateStatic()
	}
	return fmt.Errorf("mode %q is neither %q nor %q", n.Mode, ModeDHCP, ModeStatic)
}

func (n *Network) validateStatic() error {
	if len(n.Addresses) == 0 {
		return fmt.Errorf("mode %q needs addresses", ModeStatic)
	}
	for _, a := range n.Addresses {
		if _, err := netip.ParsePrefix(a); err != nil {
			return fmt.Errorf("addresses: %w", err)
		}
	}
	families := map[bool]bool{}
	for _, g := range n.Gateways {
		a, err := netip.ParseAddr(g)
		if err != nil {
			return fmt.Errorf("gateways: %w", err)
		}
		if families[a.Is4()] {
			return fmt.Errorf("gateways: more than one of a family")
		}
		families[a.Is4()] = true
	}
	for _, d := range n.DNS {
		if _, err := netip.ParseAddr(d); err != nil {
			return fmt.Errorf("dns: %w", err)
		}
	}
	return nil
}
