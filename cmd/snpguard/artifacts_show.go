package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/embed"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/qemu"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/bundle"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/size"
)

// shownArtifacts is what "snpguard artifacts show --json" prints.
type shownArtifacts struct {
	Partition int         `json:"partition"`
	Size      int64       `json:"size"` // in bytes
	Slots     []shownSlot `json:"slots"`
}

// shownSlot is one slot. Problem says why there is no manifest.
type shownSlot struct {
	Slot     string           `json:"slot"`
	Active   bool             `json:"active"`
	Trial    bool             `json:"trial"`    // it is active until it fails to confirm
	Launches int              `json:"launches"` // of a slot on trial
	Empty    bool             `json:"empty"`
	Manifest *bundle.Manifest `json:"manifest,omitempty"`
	Problem  string           `json:"problem,omitempty"`
}

func newArtifactsShowCommand() *cobra.Command {
	var disk qemu.Files
	var trusted trustOptions
	var json bool
	cmd := &cobra.Command{
		Use:   "show --image IMG [flags]",
		Short: "Show what is in both slots of a disk, and which is active",
		Long: `Show what is in both slots of a disk, and which is active. What a manifest says is
shown only when the service's identity key has signed it, or with --unsigned when
the bundle is unsigned; "export" and "launch" check the files themselves.`,
		Example: "  snpguard artifacts show --image debian-snp.qcow2",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if disk.Image == "" {
				return usageErrorf("--image is missing: the disk image to look into")
			}
			trust, err := trusted.trust()
			if err != nil {
				return err
			}
			a, err := embed.Open(cmd.Context(), disk)
			if err != nil {
				return notGenuine(cmd, disk.Image, err)
			}
			defer a.Close() //nolint:errcheck // it was only read
			shown := showArtifacts(a, trust)
			if json {
				return printJSON(cmd.OutOrStdout(), shown)
			}
			return shown.print(cmd)
		},
	}
	addDiskFlags(cmd, &disk, "disk image")
	trusted.addFlags(cmd)
	addJSONFlag(cmd, &json)
	return cmd
}

func showArtifacts(a *embed.Artifacts, trust bundle.Trust) *shownArtifacts {
	shown := &shownArtifacts{Partition: a.Partition, Size: a.Size}
	for _, s := range a.Slots {
		one := shownSlot{Slot: s.Name, Active: s.Active, Empty: s.Empty()}
		if s.Active && a.State.Trial {
			one.Trial, one.Launches = true, a.State.Launches
		}
		if !one.Empty {
			var err error
			if one.Manifest, err = s.Manifest(trust); err != nil {
				one.Problem = err.Error()
			}
		}
		shown.Slots = append(shown.Slots, one)
	}
	return shown
}

func (s *shownArtifacts) print(cmd *cobra.Command) error {
	t := newTable(cmd)
	fmt.Fprintf(t, "partition\t%d, %s\n", s.Partition, size.Text(s.Size))
	for _, slot := range s.Slots {
		mark := ""
		if slot.Active {
			mark = " (active)"
		}
		if slot.Trial {
			mark = fmt.Sprintf(" (active, on trial, %d launches)", slot.Launches)
		}
		switch {
		case slot.Empty:
			fmt.Fprintf(t, "%s%s\tempty\n", slot.Slot, mark)
		case slot.Manifest == nil:
			fmt.Fprintf(t, "%s%s\t%s\n", slot.Slot, mark, safe(slot.Problem))
		default:
			m := slot.Manifest
			release := "not signed by a service"
			if !m.Unsigned {
				release = "release " + m.Release.String()
			}
			fmt.Fprintf(t, "%s%s\t%s, image %s, %s, of %s\n", slot.Slot, mark, safe(m.ImageName), m.Image, release, stamp(m.CreatedAt))
			for _, v := range m.Variants {
				fmt.Fprintf(t, "\t%s %s\n", safe(v.Name()), safe(v.Measurement))
			}
		}
	}
	return t.Flush()
}
