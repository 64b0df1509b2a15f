// Package bootconf is the document by which a converter tells the agent in the
// initrd what to do: /snpguard/config.json. It is measured with the initrd, so
// the agent trusts every word of it; nothing in it is secret.
//
// The converter writes it and the agent reads it. The package imports nothing
// but the wire types and the JSON decoder.
package bootconf

import (
	"errors"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// Where things are in the initrd.
const (
	Dir        = "/snpguard"
	PathAgent  = Dir + "/agent"
	PathConfig = Dir + "/config.json"
	DirModules = Dir + "/modules"
)

// PathRunAgent is where the agent leaves itself for the running system, beside the
// status of the boot.
const PathRunAgent = "/run/snpguard/agent"

// PathRunConfig is the configuration that this boot was measured with, left beside the
// agent: whom the running system trusts is whom the boot trusted.
const PathRunConfig = "/run/snpguard/config.json"

// PathBootKey is what signs the calls of this boot of an instance: the seed of an Ed25519
// key, 64 hexadecimal digits and a newline, for root alone.
const PathBootKey = "/run/snpguard/boot.key"

// Format is the version of the document that this package reads and writes.
const Format = 1

// MapperName is the dm-crypt device that the agent makes; the command line and
// fstab name it as MapperPath.
const (
	MapperName = "cryptroot"
	MapperPath = "/dev/mapper/" + MapperName
)

// Cipher is dm-crypt's name of the only cipher there is: AES-256 in XTS mode,
// the IV counted in units of 512 bytes from the payload's start.
const Cipher = "aes-xts-plain64"

// DefaultDeadline is how long an agent tries before it powers off.
const DefaultDeadline = 15 * time.Minute

// MaxSize bounds the document, in bytes.
const MaxSize = 256 << 10

// ErrConfig is a document that an agent must not act upon.
var ErrConfig = errors.New("malformed boot configuration")

// Config is the document.
type Config struct {
	Format        int       `json:"format"`
	ImageID       wire.UUID `json:"image_id"`
	Simulated     bool      `json:"simulated"`      // attest to a simulated AMD-SP; a release agent refuses
	Services      []string  `json:"services"`       // https URLs, tried in turn
	CA            string    `json:"ca"`             // PEM, the only roots of TLS
	IdentityKey   []byte    `json:"identity_key"`   // Ed25519, 32 bytes
	VMKCommitment string    `json:"vmk_commitment"` // wire.VMKCommitment, 64 hexadecimal digits
	Root          Root      `json:"root"`
	Network       Network   `json:"network"`
	Deadline      int       `json:"deadline"` // seconds from the agent's start to power-off
	Initrd        string    `json:"initrd"`   // InitrdMinimal or InitrdDistribution
	Modules       string    `json:"modules"`  // of the root: ModulesRequired or ModulesOptional

	// What a first boot of an instance needs.
	UnsealingKey       []byte   `json:"unsealing_key"`                 // HPKE public key of the image, wire.PublicKeySize bytes
	RecoveryRecipients []string `json:"recovery_recipients,omitempty"` // of the owner, age1..., at most MaxRecipients
	EncryptFreeSpace   bool     `json:"encrypt_free_space"`            // re-encrypt all of the file system, not what it uses alone
}

// MaxRecipients is how many recovery recipients there may be: more of age's hybrid ones
// do not fit into the record that the disk keeps.
const MaxRecipients = 64

// Root says where the encrypted root is and how it is opened.
type Root struct {
	PartitionGUID   string `json:"partition_guid"`    // unique GUID of its GPT entry, lower case
	SealedVMKOffset int64  `json:"sealed_vmk_offset"` // of its record, bytes from the partition's start
	PayloadOffset   int64  `json:"payload_offset"`    // of the ciphertext, likewise
	Cipher          string `json:"cipher"`
	SectorSize      int    `json:"sector_size"`     // of the encryption, in bytes
	Filesystem      string `json:"filesystem"`      // "ext4", "xfs" or "btrfs"
	FilesystemUUID  string `json:"filesystem_uuid"` // 36 characters, lower case
	AllowDiscards   bool   `json:"allow_discards"`  // pass TRIM to the host
	Grow            bool   `json:"grow"`            // extend the partition when the disk has grown behind it
	Mount           Mount  `json:"mount"`           // for InitrdMinimal
}

// Network says how an agent reaches a service.
type Network struct {
	Mode      string   `json:"mode"`                // "dhcp" (DHCPv4 and IPv6 autoconfiguration) or "static"
	MAC       string   `json:"mac,omitempty"`       // only the interface with this address; empty for any
	Addresses []string `json:"addresses,omitempty"` // CIDR, for "static"
	Gateways  []string `json:"gateways,omitempty"`  // for "static", at most one of a family
	DNS       []string `json:"dns,omitempty"`       // for "static"
}

// Networking modes.
const (
	ModeDHCP   = "dhcp"
	ModeStatic = "static"
)
