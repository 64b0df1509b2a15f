package register

import (
	"github.com/snpguard-go/packer-plugin-snpguard/internal/option"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// instances returns the settings of a new image, nil where nothing was said.
func (c *Config) instances() (*wire.InstanceSettings, error) {
	mode := wire.InstanceMode(c.Instances)
	switch {
	case mode == "" && c.InstanceLimit != 0:
		return nil, option.Errorf("instance_limit", "it needs %s = auto", option.Name("instances"))
	case mode == "":
		return nil, nil
	case c.AddRelease:
		return nil, option.Errorf("instances", "they are a setting of the image, not of a release: leave out %s", option.Name("instances"))
	case mode == wire.InstancesAuto && c.InstanceLimit == 0:
		return nil, option.Missingf("instance_limit", "the number of instances that launches may make")
	case mode == wire.InstancesAuto && c.InstanceLimit > wire.MaxAutoInstances:
		return nil, option.Errorf("instance_limit", "%d: want 1 to %d", c.InstanceLimit, wire.MaxAutoInstances)
	case mode != wire.InstancesAuto && c.InstanceLimit != 0:
		return nil, option.Errorf("instance_limit", "it needs %s = auto", option.Name("instances"))
	case mode != wire.InstancesNone && mode != wire.InstancesNamed && mode != wire.InstancesAuto:
		return nil, option.Errorf("instances", "%q: want none, named or auto", c.Instances)
	}
	return &wire.InstanceSettings{Mode: mode, Limit: int64(c.InstanceLimit), Generation: wire.GenerationReport}, nil
}
