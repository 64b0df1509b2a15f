package main

import (
	"cmp"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

func newImageInstancesCommand() *cobra.Command {
	var limit int
	var generation string
	cmd := &cobra.Command{
		Use:   "instances IMAGE [none|named|auto]",
		Short: "Show or set whether an image has instances",
		Long: `Show or set whether an image has instances, VMs with a volume key of their own each.
With none, all copies of its disk have one key. With named, only instances that were
created get keys. With auto, a launch makes the instance that it names, up to --limit.
An image that was given a key while it was none, or has instances, cannot change
between none and the others: convert it again.

--generation says what happens to an instance whose disk shows an older state than the
service knows, such as a restored snapshot: it is recorded, or it is denied its key.`,
		Example: `  snpguard image instances debian-13
  snpguard image instances debian-13 named --generation enforce
  snpguard image instances debian-13 auto --limit 100`,
		Args: oneOrTwoArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			change := &instancesChange{generation: wire.GenerationMode(generation)}
			if len(args) > 1 {
				change.mode = wire.InstanceMode(args[1])
			}
			if cmd.Flags().Changed("limit") {
				change.limit = &limit
			}
			if err := change.check(); err != nil {
				return err
			}
			service, image, err := connectImage(cmd, args[0])
			if err != nil {
				return err
			}
			if *change == (instancesChange{}) {
				_, err := fmt.Fprintln(cmd.OutOrStdout(), instancesText(image.Instances))
				return err
			}
			settings, err := change.of(image.Instances)
			if err != nil {
				return err
			}
			_, err = service.PatchImage(cmd.Context(), image.ID, wire.ImagePatch{Instances: &settings})
			return err
		},
	}
	cmd.Flags().IntVar(&limit, "limit", 0, "number of instances that launches may make, for auto")
	cmd.Flags().StringVar(&generation, "generation", "", "what an older disk means: report or enforce")
	return cmd
}

// instancesChange is what a command line asks for. Empty stays as it is.
type instancesChange struct {
	mode       wire.InstanceMode
	limit      *int
	generation wire.GenerationMode
}

// check refuses what no image can have.
func (c *instancesChange) check() error {
	switch c.mode {
	case "", wire.InstancesNone, wire.InstancesNamed, wire.InstancesAuto:
	default:
		return usageErrorf("%q: want none, named or auto", string(c.mode))
	}
	if c.limit != nil && (*c.limit < 1 || *c.limit > wire.MaxAutoInstances) {
		return usageErrorf("--limit: %d: want 1 to %d instances", *c.limit, wire.MaxAutoInstances)
	}
	switch c.generation {
	case "", wire.GenerationReport, wire.GenerationEnforce:
		return nil
	}
	return usageErrorf("--generation: %q: want report or enforce", string(c.generation))
}

// of returns the settings as they are to be.
func (c *instancesChange) of(s wire.InstanceSettings) (wire.InstanceSettings, error) {
	s.Mode, s.Generation = cmp.Or(c.mode, s.Mode), cmp.Or(c.generation, s.Generation)
	switch {
	case s.Mode != wire.InstancesAuto && c.limit != nil:
		return s, usageErrorf("--limit needs auto")
	case s.Mode != wire.InstancesAuto:
		s.Limit = 0
	case c.limit != nil:
		s.Limit = int64(*c.limit)
	}
	if s.Mode == wire.InstancesAuto && s.Limit == 0 {
		return s, usageErrorf("auto needs --limit: the number of instances that launches may make")
	}
	return s, nil
}

// instancesText says what the settings are.
func instancesText(s wire.InstanceSettings) string {
	if s.Mode == wire.InstancesNone {
		return string(wire.InstancesNone)
	}
	text := safe(string(s.Mode))
	if s.Mode == wire.InstancesAuto {
		text += fmt.Sprintf(", up to %d", s.Limit)
	}
	return text + ", generation " + safe(string(s.Generation))
}
