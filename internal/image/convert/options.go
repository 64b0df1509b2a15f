package convert

import (
	"crypto/ed25519"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"filippo.io/age"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/option"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/bootconf"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/identity"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/seal"
	"github.com/snpguard-go/packer-plugin-snpguard/measure"
)

// Formats of the image that comes out.
const (
	QCOW2 = "qcow2"
	Raw   = "raw"
)

// Options say what to convert, and how. Paths are of the build machine.
type Options struct {
	Input    string // the source image, which is never written to
	Output   string // the image to make
	Staging  string // directory to make for what registration needs
	Firmware string // OVMF build for SEV-SNP with the hash table

	Format   string // QCOW2 or Raw; empty for QCOW2
	Compress bool   // compress what can be compressed of a QCOW2
	Size     int64  // of the disk to make, in bytes; 0 for as large as needed
	Replace  bool   // an output and a staging directory that exist

	Kernel         string                              // version to boot; empty for GRUB's default among the capable
	Choose         func(entries []Choice) (int, error) // asks for the boot entry; nil takes the default
	ModulePackages []string                            // FILE or URL#sha256=HEX of .deb or .rpm with kernel modules
	CmdlineAppend  string
	KeepArguments  []string // words of the boot entry, or NAME=, that are kept though not known to be harmless

	Recipients       []string // age recipients that can recover the VMK
	AllowDiscards    bool     // tell the host which blocks fall free
	EncryptFreeSpace bool     // fill free blocks, which hides the allocation map

	Network   bootconf.Network
	CloudInit string // CloudInitNone, CloudInitKeep or a list of data sources, separated by commas
	Deadline  time.Duration

	Simulate     bool // the agent for the simulated AMD-SP: worth nothing
	NoEncryption bool // leave the disk as it is and put no agent into the initrd
	Keep         bool // working files after a failure

	Service Service
	Agent   []byte // the agent's binary
	Version string // of this program, for conversion.json

	Events Events // told of progress; nil for nobody
}

// Choice is a boot entry to choose from.
type Choice struct {
	Title   string
	Kernel  string // version
	Default bool   // what GRUB would boot
	Reason  string // why it cannot be chosen; empty when it can
}

// Service is what the image needs to know of the attestation service.
type Service struct {
	URLs         []string          // under which guests reach it, tried in turn
	CA           string            // PEM, the only roots of TLS
	IdentityKey  ed25519.PublicKey // that signs its answers
	IngestionKey *seal.PublicKey   // that unsealing keys are sealed to
}

// Handling of cloud-init's data sources, which belong to the host.
const (
	CloudInitNone = "none"
	CloudInitKeep = "keep"
)

// Check finds what can be known to be wrong before the work begins. Each error is
// an *option.Error; they are joined. Templates have another name for Output,
// "output_directory", and none for Input.
func (o *Options) Check() error {
	var problems []error
	bad := func(name string, err error) {
		if err != nil {
			problems = append(problems, option.Wrap(name, err))
		}
	}
	bad("in", checkReadable(o.Input, "the image to convert"))
	bad("out", o.checkOutput())
	bad("staging", o.checkStaging())
	bad("firmware", checkFirmware(o.Firmware))
	bad("format", checkFormat(o))
	if o.Size < 0 {
		bad("size", errors.New("is negative"))
	}
	bad("cmdline_append", checkText(o.CmdlineAppend))
	bad("keep_arguments", checkText(strings.Join(o.KeepArguments, " ")))
	bad("cloud_init", checkCloudInit(o.CloudInit))
	if _, err := parseRecipients(o.Recipients); err != nil {
		bad("recovery_recipients", err)
	}
	if !o.NoEncryption {
		problems = append(problems, o.Service.check())
		if len(o.Agent) == 0 {
			bad("agent_path", errors.New("is missing: there is none to put into the initrd of the image"))
		}
	}
	return errors.Join(problems...)
}

func (s *Service) check() error {
	switch {
	case len(s.URLs) == 0:
		return option.Errorf("services", "are missing: no URL under which guests reach the service")
	case !x509.NewCertPool().AppendCertsFromPEM([]byte(s.CA)):
		return option.Errorf("ca_file", "no CA certificate: guests trust this one alone, also where a service has a public certificate")
	case len(s.IdentityKey) == 0:
		return option.Errorf("identity_key", "is missing: the public key that signs the answers of the service; \"snpguard keys\" writes it")
	case s.IngestionKey == nil:
		return option.Errorf("ingestion_key", "is missing: the public key of the service that unsealing keys are sealed to; \"snpguard keys\" writes it")
	}
	_, err := identity.Parse(s.IdentityKey)
	return option.Wrap("identity_key", err)
}

func checkReadable(path, what string) error {
	if path == "" {
		return fmt.Errorf("is missing: %s", what)
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is not a regular file", path)
	}
	return nil
}

func checkFormat(o *Options) error {
	switch o.Format {
	case "", QCOW2:
		return nil
	case Raw:
		if o.Compress {
			return errors.New("only qcow2 can be compressed")
		}
		return nil
	}
	return fmt.Errorf("%q is neither %s nor %s", o.Format, QCOW2, Raw)
}

func checkText(s string) error {
	if strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' }) {
		return errors.New("only printable ASCII on one line can be measured")
	}
	return nil
}

func checkCloudInit(s string) error {
	for name := range strings.SplitSeq(s, ",") {
		if strings.ContainsFunc(name, func(r rune) bool { return !isAlphanumeric(r) }) {
			return fmt.Errorf("%q is not the name of a data source: want none, keep or names such as NoCloud,Azure", name)
		}
	}
	return nil
}

func isAlphanumeric(r rune) bool {
	return r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z'
}

// parseRecipients reads age's native recipients, the hybrid ones included: a
// passphrase or an SSH key is not what a vault keeps.
func parseRecipients(list []string) ([]age.Recipient, error) {
	var recipients []age.Recipient
	for i, s := range list {
		if strings.Contains(strings.ToUpper(s), "AGE-SECRET-KEY-") {
			return nil, fmt.Errorf("number %d is a secret key, want the recipient (age1...) that belongs to it", i+1)
		}
		parsed, err := age.ParseRecipients(strings.NewReader(s))
		if err != nil { // the text may be a secret that came here by mistake
			return nil, fmt.Errorf("number %d is no age recipient (age1...): %w", i+1, err)
		}
		recipients = append(recipients, parsed...)
	}
	return recipients, nil
}

// checkFirmware takes what measures kernel, initrd and command line.
func checkFirmware(path string) error {
	if err := checkReadable(path, "an OVMF build for SEV-SNP, such as OVMF.amdsev.fd of the Debian package ovmf-amdsev"); err != nil {
		return err
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	firmware, err := measure.ParseFirmware(data)
	if err != nil {
		return err
	}
	if _, err := firmware.KernelHashesGPA(); err != nil {
		return fmt.Errorf("%w of the Debian package ovmf-amdsev", err)
	}
	return nil
}
