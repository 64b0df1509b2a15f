package convertopts

import (
	"context"
	"errors"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/client/meet"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/agentbin"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/convert"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/input"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/option"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/bootconf"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/size"
	"github.com/snpguard-go/packer-plugin-snpguard/version"
)

// SetDefaults fills in what was left out.
func (c *Config) SetDefaults() {
	for _, d := range []struct {
		field *string
		value string
	}{{&c.Format, convert.QCOW2}, {&c.Network, bootconf.ModeDHCP}, {&c.CloudInit, convert.CloudInitNone}} {
		if *d.field == "" {
			*d.field = d.value
		}
	}
	if c.Deadline == 0 {
		c.Deadline = bootconf.DefaultDeadline
	}
}

// Options returns the options of the conversion, but for its source and what it
// makes. The service is asked for its keys unless they are given, and left out
// where s is nil. Errors about an option are an *option.Error; they are joined.
func (c *Config) Options(ctx context.Context, s *meet.Service) (*convert.Options, error) {
	o := &convert.Options{
		Firmware: c.Firmware, Format: c.Format, Compress: c.Compress,
		Kernel: c.Kernel, ModulePackages: c.ModulePackages, CmdlineAppend: c.CmdlineAppend, KeepArguments: c.KeepArguments,
		Recipients: c.RecoveryRecipients, AllowDiscards: c.AllowDiscards, EncryptFreeSpace: c.EncryptFreeSpace,
		CloudInit: c.CloudInit, Deadline: c.Deadline,
		Simulate: c.Simulate, NoEncryption: c.NoEncryption, Keep: c.KeepOnFailure, Version: version.String(),
	}
	problems := []error{c.translate(o)}
	if !c.NoEncryption {
		var err error
		o.Agent, err = c.agent()
		problems = append(problems, err)
		if s != nil {
			o.Service, err = c.service(ctx, s)
			problems = append(problems, err)
		}
	}
	return o, errors.Join(problems...)
}

// translate reads what is written as text.
func (c *Config) translate(o *convert.Options) error {
	var problems []error
	if c.Kernel != "" && c.Interactive {
		problems = append(problems, option.Errorf("kernel", "excludes interactive"))
	}
	var err error
	if c.Size != "" {
		o.Size, err = size.Parse(c.Size)
		problems = append(problems, option.Wrap("size", err))
	}
	o.Network, err = bootconf.ParseNetwork(c.Network, c.NetworkMAC)
	problems = append(problems, option.Wrap("network", err))
	if c.Deadline < time.Second {
		problems = append(problems, option.Errorf("deadline", "%s is less than a second", c.Deadline))
	}
	return errors.Join(problems...)
}

func (c *Config) agent() ([]byte, error) {
	if c.AgentPath == "" {
		agent, err := agentbin.Agent(c.Simulate)
		return agent, option.Wrap("agent_path", err)
	}
	agent, err := input.Whole(c.AgentPath, agentbin.MaxSize)
	return agent, option.Wrap("agent_path", err)
}
