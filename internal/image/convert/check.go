package convert

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"filippo.io/age"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/agentbin"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/slots"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/input"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/option"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/bootconf"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/size"
	"github.com/snpguard-go/packer-plugin-snpguard/measure"
)

// Formats of the image that comes out.
const (
	QCOW2 = "qcow2"
	Raw   = "raw"
)

// Handling of cloud-init's data sources, which belong to the host.
const (
	CloudInitNone = "none"
	CloudInitKeep = "keep"
)

// settings are what a Config says as text.
type settings struct {
	size       int64 // of the disk to make, in bytes; 0 for as large as needed
	artifacts  int64 // of the partition for launch bundles, in bytes; 0 for none
	network    bootconf.Network
	recipients []age.Recipient

	recipientNames []string // the same, one by one, as the agent is told
}

// Check finds what can be known to be wrong from the configuration and the files
// that it names, before there is a source and without asking the service. Defaults
// have been set. Each error is an *option.Error; they are joined.
func (c *Config) Check() error {
	_, err := c.read()
	if c.NoEncryption {
		return err
	}
	_, noAgent := c.agent()
	return errors.Join(err, noAgent)
}

// read reads what is written as text, and checks all but the agent.
func (c *Config) read() (*settings, error) {
	var problems []error
	bad := func(name option.Name, err error) { problems = append(problems, option.Wrap(name, err)) }
	var s settings
	var err error
	problems = append(problems, checkFirmware(c.Firmware))
	if c.Kernel != "" && c.Interactive {
		problems = append(problems, option.Excludesf("kernel", "%s: either says which boot entry to take", option.Name("interactive")))
	}
	bad("cmdline_append", checkText(c.CmdlineAppend))
	bad("keep_arguments", checkText(strings.Join(c.KeepArguments, " ")))
	if c.Size != "" {
		s.size, err = size.Parse(c.Size)
		bad("size", err)
	}
	s.artifacts, err = c.readArtifactsSize()
	bad("artifacts_size", err)
	bad("format", c.checkFormat())
	s.recipients, s.recipientNames, err = parseRecipients(c.RecoveryRecipients)
	bad("recovery_recipients", err)
	s.network, err = c.readNetwork()
	problems = append(problems, err)
	bad("initrd", bootconf.CheckInitrd(c.Initrd))
	bad("cloud_init", checkCloudInit(c.CloudInit))
	if c.Deadline < time.Second {
		problems = append(problems, option.Errorf("deadline", "%s is less than a second", c.Deadline))
	}
	if !c.NoEncryption && len(c.Services) > 0 { // a guest would only refuse them at boot
		bad("services", bootconf.CheckServices(c.Services))
	}
	return &s, errors.Join(problems...)
}

// readArtifactsSize rounds up to what partitions are aligned to.
func (c *Config) readArtifactsSize() (int64, error) {
	switch c.ArtifactsSize {
	case "":
		return slots.DefaultSize, nil
	case "0":
		return 0, nil
	}
	n, err := size.Parse(c.ArtifactsSize)
	if err == nil && (n < slots.MinSize || n > slots.MaxSize) {
		err = fmt.Errorf("%s, want %s to %s, or 0 for none", size.Text(n), size.Text(slots.MinSize), size.Text(slots.MaxSize))
	}
	return alignUp(n), err
}

// readNetwork tells a wrong network from a wrong address of an interface.
func (c *Config) readNetwork() (bootconf.Network, error) {
	if n, err := bootconf.ParseNetwork(c.Network, ""); err != nil {
		return n, option.Wrap("network", err)
	}
	n, err := bootconf.ParseNetwork(c.Network, c.NetworkMAC)
	return n, option.Wrap("network_mac", err)
}

// agent returns the agent's binary.
func (c *Config) agent() ([]byte, error) {
	if c.AgentPath != "" {
		agent, err := input.Whole(c.AgentPath, agentbin.MaxSize)
		return agent, option.Wrap("agent_path", err)
	}
	agent, err := agentbin.Agent(c.Simulate)
	if err != nil {
		return nil, option.Unavailablef("agent_path", "%w", err)
	}
	return agent, nil
}

func (c *Config) checkFormat() error {
	switch {
	case c.Format != QCOW2 && c.Format != Raw:
		return fmt.Errorf("%q is neither %s nor %s", c.Format, QCOW2, Raw)
	case c.Format == Raw && c.Compress:
		return errors.New("only qcow2 can be compressed")
	}
	return nil
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
// passphrase or an SSH key is not what a vault keeps. An entry may be a file of them with
// comments, as age has it; names has each by itself.
func parseRecipients(list []string) (recipients []age.Recipient, names []string, err error) {
	for i, s := range list {
		if strings.Contains(strings.ToUpper(s), "AGE-SECRET-KEY-") {
			return nil, nil, fmt.Errorf("number %d is a secret key, want the recipient (age1...) that belongs to it", i+1)
		}
		parsed, err := age.ParseRecipients(strings.NewReader(s))
		if err != nil { // the text may be a secret that came here by mistake
			return nil, nil, fmt.Errorf("number %d is not an age recipient (age1...): %w", i+1, err)
		}
		for _, r := range parsed {
			named, ok := r.(fmt.Stringer)
			if !ok {
				return nil, nil, fmt.Errorf("number %d is not a native age recipient (age1...)", i+1)
			}
			recipients, names = append(recipients, r), append(names, named.String())
		}
	}
	if len(names) > bootconf.MaxRecipients {
		return nil, nil, fmt.Errorf("there are %d, and at most %d fit on the disk", len(names), bootconf.MaxRecipients)
	}
	if len(names) == 0 {
		return nil, nil, nil
	}
	// Conversion and guest both encrypt to all of them, which age does not do for every mix.
	if _, err := age.Encrypt(io.Discard, recipients...); err != nil {
		return nil, nil, err
	}
	return recipients, names, nil
}

// checkFirmware takes what measures kernel, initrd and command line.
func checkFirmware(path string) error {
	const name option.Name = "firmware"
	if path == "" {
		return option.Missingf(name, "an OVMF build for SEV-SNP, such as OVMF.amdsev.fd of the Debian package ovmf-amdsev")
	}
	if err := checkReadable(path); err != nil {
		return option.Wrap(name, err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return option.Wrap(name, err)
	}
	firmware, err := measure.ParseFirmware(data)
	if err != nil {
		return option.Wrap(name, err)
	}
	if _, err := firmware.KernelHashesGPA(); err != nil {
		return option.Errorf(name, "%w of the Debian package ovmf-amdsev", err)
	}
	return nil
}

func checkReadable(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is not a regular file", path)
	}
	return nil
}
