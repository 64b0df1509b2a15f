package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

func newImageMachinesCommand() *cobra.Command {
	var all, asJSON bool
	cmd := &cobra.Command{
		Use:   "machines IMAGE",
		Short: "Show which releases the guests of an image run and which kernels wait for one",
		Long: `Show how many guests of an image run which release, how many have booted it
completely, and which kernels they have installed that no release has. A guest is
known once it has asked for an update or confirmed a boot; which release it runs
says its report, the rest says root in the guest. One that is not seen any more is
switched off, or its host withholds updates from it.`,
		Example: `  snpguard image machines debian-13
  snpguard image machines debian-13 --all`,
		Args: oneArg,
		RunE: func(cmd *cobra.Command, args []string) error {
			service, image, err := connectImage(cmd, args[0])
			if err != nil {
				return err
			}
			if all {
				return listMachines(cmd, service, image.ID, asJSON)
			}
			fleet, err := service.Fleet(cmd.Context(), image.ID)
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), fleet)
			}
			return showFleet(cmd, fleet)
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "list every guest")
	addJSONFlag(cmd, &asJSON)
	return cmd
}

func showFleet(cmd *cobra.Command, f *wire.Fleet) error {
	fmt.Fprintf(cmd.OutOrStdout(), "guests  %d\n", f.Machines)
	t := newTable(cmd)
	if len(f.Releases) > 0 {
		fmt.Fprintln(t, "\nRELEASE\tRUNNING\tCONFIRMED")
	}
	for _, u := range f.Releases {
		fmt.Fprintf(t, "%s\t%d\t%d\n", u.Release, u.Running, u.Confirmed)
	}
	if len(f.Waiting) > 0 {
		fmt.Fprintln(t, "\nKERNEL WITHOUT A RELEASE\tGUESTS\tSHA-256")
	}
	for _, k := range f.Waiting {
		fmt.Fprintf(t, "%s\t%d\t%s\n", safe(k.Kernel), k.Machines, safe(k.SHA256))
	}
	return t.Flush()
}

func listMachines(cmd *cobra.Command, service *connected, image wire.UUID, asJSON bool) error {
	if asJSON {
		machines := []wire.Machine{}
		if err := service.Machines(cmd.Context(), image, func(m *wire.Machine) error {
			machines = append(machines, *m)
			return nil
		}); err != nil {
			return err
		}
		return printJSON(cmd.OutOrStdout(), machines)
	}
	t := newTable(cmd)
	fmt.Fprintln(t, "MACHINE\tSEEN\tRELEASE\tKERNEL\tCONFIRMED\tNEWER KERNELS")
	if err := service.Machines(cmd.Context(), image, func(m *wire.Machine) error { return machineRow(t, m) }); err != nil {
		return err
	}
	return t.Flush()
}

func machineRow(t io.Writer, m *wire.Machine) error {
	confirmed := "never"
	if m.ConfirmedAt != nil {
		confirmed = m.Confirmed.String() + " at " + stamp(*m.ConfirmedAt)
	}
	if !m.Failed.IsZero() {
		confirmed += ", " + m.Failed.String() + " did not come up"
	}
	newer := []string{}
	for _, k := range m.Kernels {
		if k.Newer {
			newer = append(newer, safe(k.Release))
		}
	}
	_, err := fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", m.ID, stamp(m.SeenAt), m.Release, safe(m.Running), confirmed, strings.Join(newer, ", "))
	return err
}
