package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/bundle"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// checkInstanceFlags refuses what would lose an instance: the service remembers the key
// that the guest makes at its first launch, and the disk has to keep it.
func (o *launchOptions) checkInstanceFlags() error {
	if o.instance == "" {
		return nil
	}
	switch {
	case o.unsigned:
		return usageErrorf("--instance and --unsigned exclude each other: an image converted without encryption has no instances")
	case o.snapshot, slices.ContainsFunc(o.extra, func(word string) bool { return strings.TrimLeft(word, "-") == "snapshot" }):
		return usageErrorf("--instance and --snapshot exclude each other: the service remembers the key of an instance, and its disk has to keep it")
	}
	for _, word := range o.extra {
		if strings.Contains(word, "cache=unsafe") || strings.Contains(word, "no-flush") || strings.Contains(word, "snapshot=on") {
			return usageErrorf("%q cannot be used with --instance: a power cut could lose its disk, which has to keep what the guest flushes", word)
		}
	}
	return nil
}

// findInstance fills in which instance is launched. A name is asked of the service; a
// UUID is taken as it is.
func (o *launchOptions) findInstance(cmd *cobra.Command) error {
	if o.instance == "" {
		return nil
	}
	if id, err := wire.ParseUUID(o.instance); err == nil {
		if id.IsZero() {
			return usageErrorf("--instance: the UUID is zero, which is no instance's")
		}
		o.hostData = wire.HostData(id)
		return nil
	}
	if err := wire.CheckInstanceName(o.instance); err != nil {
		return usageErrorf("--instance: %w, or a UUID", err)
	}
	service, err := connect()
	if err != nil {
		return fmt.Errorf("%w, or give the UUID of the instance", err)
	}
	found, err := service.FindInstance(cmd.Context(), o.instance)
	switch {
	case err != nil:
		return err
	case found.DeletedAt != nil:
		return fmt.Errorf("instance %s is deleted, and is given no key", found.Name)
	case !found.Enabled:
		return fmt.Errorf("instance %s is disabled, and is given no key", found.Name)
	}
	o.found, o.hostData = found, wire.HostData(found.ID)
	return nil
}

// checkInstance refuses a bundle of another image than the instance's.
func (o *launchOptions) checkInstance(m *bundle.Manifest) error {
	if o.found == nil || o.found.ImageID == m.Image {
		return nil
	}
	return fmt.Errorf("instance %s is one of image %s (%s), and the bundle is of image %s (%s)",
		safe(o.found.Name), safe(o.found.ImageName), o.found.ImageID, safe(m.ImageName), m.Image)
}
