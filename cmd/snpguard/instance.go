package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/client"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

func newInstanceCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "instance",
		Short: "Manage instances: VMs of an image, each with a volume key of its own",
		Long: `Manage instances: VMs of an image, each with a volume key of its own. The disk of an
image may be copied freely; at its first launch each copy is put under a key that opens
no other. INSTANCE is a name or an ID. docs/instances.md says how to use them.`,
		Example: `  snpguard image instances debian-13 named
  snpguard instance create debian-13 --name web-1
  snpguard instance list`,
		Args: wantsCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(
		newInstanceCreateCommand(), newInstanceListCommand(), newInstanceShowCommand(),
		newInstanceSwitchCommand("enable", true), newInstanceSwitchCommand("disable", false),
		newInstanceResetCommand(), newInstanceAdoptCommand(), newInstanceAllowRestoreCommand(),
		newInstanceDeleteCommand(), newInstanceUndeleteCommand(), newInstanceRecoveryCommand(),
	)
	return cmd
}

func newInstanceCreateCommand() *cobra.Command {
	var name string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "create IMAGE --name NAME",
		Short: "Create an instance of an image",
		Long: `Create an instance of an image, whose setting of instances is named or auto
("snpguard image instances"). It is launched from a copy of the image's disk with the
HOST_DATA that is printed, or with "snpguard launch --instance NAME".`,
		Example: "  snpguard instance create debian-13 --name web-1",
		Args:    oneArg,
		RunE: func(cmd *cobra.Command, args []string) error {
			if name == "" {
				return usageErrorf("--name is missing: the name of the instance, for example web-1")
			}
			if err := wire.CheckInstanceName(name); err != nil {
				return usageErrorf("--name: %w", err)
			}
			service, image, err := connectImage(cmd, args[0])
			if err != nil {
				return err
			}
			made, err := service.CreateInstance(cmd.Context(), wire.InstanceCreation{ImageID: image.ID, Name: name})
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), made)
			}
			t := newTable(cmd)
			fmt.Fprintf(t, "instance\t%s\nname\t%s\nHOST_DATA\t%s\n", made.ID, safe(made.Name), safe(made.HostData))
			return t.Flush()
		},
	}
	cmd.Flags().StringVar(&name, "name", "", "name of the instance: lower-case letters, digits and hyphens")
	addJSONFlag(cmd, &asJSON)
	return cmd
}

// connectInstance connects and finds an instance by its ID or its exact name.
func connectInstance(cmd *cobra.Command, text string) (*connected, *wire.Instance, error) {
	service, err := connect()
	if err != nil {
		return nil, nil, err
	}
	found, err := service.FindInstance(cmd.Context(), text)
	return service, found, err
}

func newInstanceListCommand() *cobra.Command {
	var f client.InstanceFilter
	var image, state string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List instances",
		Example: `  snpguard instance list --image debian-13 --only ready
  snpguard instance list --deleted`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if f.State = wire.InstanceState(state); !isInstanceState(state) {
				return usageErrorf("--only: want new, claimed or ready, got %q", state)
			}
			service, err := connect()
			if err != nil {
				return err
			}
			if image != "" {
				found, err := service.FindImage(cmd.Context(), image)
				if err != nil {
					return err
				}
				f.Image = found.ID
			}
			return listInstances(cmd, service, f, asJSON)
		},
	}
	cmd.Flags().StringVar(&image, "image", "", "only instances of this image")
	cmd.Flags().StringVar(&state, "only", "", "only instances in this state: new, claimed or ready")
	cmd.Flags().StringVar(&f.Search, "name", "", "part of the name")
	cmd.Flags().BoolVar(&f.Deleted, "deleted", false, "instances whose deletion can still be undone")
	addJSONFlag(cmd, &asJSON)
	return cmd
}

func isInstanceState(text string) bool {
	switch wire.InstanceState(text) {
	case "", wire.StateNew, wire.StateClaimed, wire.StateReady:
		return true
	case wire.StateNone:
	}
	return false
}

func listInstances(cmd *cobra.Command, service *connected, f client.InstanceFilter, asJSON bool) error {
	if asJSON {
		all := []wire.Instance{}
		if err := service.Instances(cmd.Context(), f, func(i *wire.Instance) error {
			all = append(all, *i)
			return nil
		}); err != nil {
			return err
		}
		return printJSON(cmd.OutOrStdout(), all)
	}
	t := newTable(cmd)
	fmt.Fprintln(t, "ID\tNAME\tIMAGE\tSTATE\tGENERATION\tCREATED\tLAST LAUNCH")
	if err := service.Instances(cmd.Context(), f, func(i *wire.Instance) error {
		_, err := fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%d\t%s\t%s\n", i.ID, safe(i.Name), safe(i.ImageName), instanceState(i), i.Generation, stamp(i.CreatedAt), stampOrNot(i.GrantedAt))
		return err
	}); err != nil {
		return err
	}
	return t.Flush()
}

// instanceState is the state and what else keeps an instance from its keys.
func instanceState(i *wire.Instance) string {
	words := []string{safe(string(i.State))}
	if !i.Enabled {
		words = append(words, "disabled")
	}
	if i.DeletedAt != nil {
		words = append(words, "deleted")
	}
	return strings.Join(words, ", ")
}

func newInstanceShowCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "show INSTANCE",
		Short:   "Show an instance",
		Example: "  snpguard instance show web-1",
		Args:    oneArg,
		RunE: func(cmd *cobra.Command, args []string) error {
			_, found, err := connectInstance(cmd, args[0])
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), found)
			}
			t := newTable(cmd)
			showInstance(t, found)
			return t.Flush()
		},
	}
	addJSONFlag(cmd, &asJSON)
	return cmd
}

func showInstance(t io.Writer, i *wire.Instance) {
	made := safe(i.CreatedBy)
	if i.Auto {
		made = "its first launch"
	}
	fmt.Fprintf(t, "instance\t%s\nname\t%s\nimage\t%s, %s\nstate\t%s\n", i.ID, safe(i.Name), i.ImageID, safe(i.ImageName), instanceState(i))
	fmt.Fprintf(t, "HOST_DATA\t%s\ncreated\t%s by %s\n", safe(i.HostData), stamp(i.CreatedAt), made)
	fmt.Fprintf(t, "last launch\t%s\n", stampOrNot(i.GrantedAt))
	if !i.Release.IsZero() {
		fmt.Fprintf(t, "release\t%s\n", i.Release)
	}
	fmt.Fprintf(t, "ready since\t%s\nlast boot\t%s\ngeneration\t%d\n", stampOrNot(i.ReadyAt), stampOrNot(i.BootedAt), i.Generation)
	if i.Sealed != "" {
		fmt.Fprintf(t, "claimed by\t%s\n", safe(i.Sealed))
	}
	fmt.Fprintf(t, "recovery\t%s\n", recoveryText(i.Recovery))
	if i.Restore != nil {
		fmt.Fprintf(t, "restore allowed\tof generation %d until %s\n", i.Restore.Generation, stamp(i.Restore.Until))
	}
	if i.DeletedAt != nil {
		fmt.Fprintf(t, "deleted\t%s; its share of the key is destroyed %s\n", stamp(*i.DeletedAt), stampOrNot(i.GoneAt))
	}
}

func recoveryText(kept bool) string {
	if kept {
		return "kept: \"snpguard instance recovery\" fetches it"
	}
	return "none"
}
