package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/convert"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/osinfo"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/size"
)

func newInspectCommand() *cobra.Command {
	var asJSON bool
	var packages []string
	cmd := &cobra.Command{
		Use:   "inspect IMAGE",
		Short: "Say what an image is, before it is converted",
		Long: `Say what an image is: its partitions and file systems, its operating system, the
kernels and whether they can run as SNP guests, what it would boot, and what in
it would let the host in. The image is not changed.

Exit code 1 says that it cannot be converted as it is.`,
		Example: `  snpguard inspect debian-13-genericcloud-amd64.qcow2
  snpguard inspect noble.qcow2 --module-package linux-modules-extra-6.8.0-60-generic_amd64.deb --json`,
		Args: oneArg,
		RunE: func(cmd *cobra.Command, args []string) error {
			found, err := convert.Inspect(cmd.Context(), args[0], packages)
			if err != nil {
				return err
			}
			if asJSON {
				err = printJSON(cmd.OutOrStdout(), found)
			} else {
				err = printInspection(cmd, found)
			}
			if err == nil && len(found.Problems) > 0 {
				return errNo
			}
			return err
		},
	}
	cmd.Flags().StringArrayVar(&packages, "module-package", nil, "as for convert: FILE or URL#sha256=HEX; may be repeated")
	addJSONFlag(cmd, &asJSON)
	return cmd
}

func printInspection(cmd *cobra.Command, found *convert.Inspection) error {
	t := newTable(cmd)
	format := found.Format
	if found.Packed != "" {
		format += " in " + found.Packed
	}
	fmt.Fprintf(t, "image\t%s\nformat\t%s, %s, %s with sectors of %d bytes\n",
		found.Path, format, sizeText(found.Size), found.Table, found.SectorSize)
	if found.OS != nil {
		fmt.Fprintf(t, "system\t%s\n", safe(found.OS.Name))
	}
	if found.Initrd != nil {
		fmt.Fprintf(t, "initrd\t%s, systemd: %t\n", found.Initrd.Kind, found.Initrd.Systemd)
	}
	if found.InitrdProblem != "" {
		fmt.Fprintf(t, "for --initrd distribution\t%s\n", safe(found.InitrdProblem))
	}
	if found.Kernel != "" {
		fmt.Fprintf(t, "would boot\t%s (%s)\n", safe(found.BootEntry), safe(found.Kernel))
	}
	fmt.Fprintf(t, "\nPARTITION\tSIZE\tHOLDS\tUSED\tLABEL\tROLE\n")
	for _, p := range found.Partitions {
		holds := p.Holds
		if p.Converted {
			holds += " (by snpguard)"
		}
		fmt.Fprintf(t, "%d\t%s\t%s\t%s\t%s\t%s\n", p.Number, sizeText(p.Size), holds, sizeText(p.Used), safe(p.Label), p.Role)
	}
	if found.OS != nil {
		printSystem(t, found.OS)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, p := range found.Problems {
		fmt.Fprintf(cmd.OutOrStdout(), "\ncannot be converted: %s\n", safe(p))
	}
	return nil
}

// printSystem prints kernels, boot entries and findings.
func printSystem(w interface{ Write([]byte) (int, error) }, found *osinfo.OS) {
	fmt.Fprintf(w, "\nKERNEL\tSNP GUEST\tLACKS\n")
	for _, k := range found.Kernels {
		lacks := ""
		for i, l := range k.Lacks {
			if i > 0 {
				lacks += "; "
			}
			lacks += safe(l)
		}
		if k.Package != "" {
			lacks += " (package " + safe(k.Package) + ")"
		}
		fmt.Fprintf(w, "%s\t%t\t%s\n", safe(k.Release), k.Capable(), lacks)
	}
	fmt.Fprintf(w, "\nBOOT ENTRY\tDEFAULT\n")
	for _, e := range found.Entries {
		fmt.Fprintf(w, "%s\t%t\n", safe(e.Title), e.Default)
	}
	if len(found.Findings) == 0 {
		return
	}
	fmt.Fprintf(w, "\nFINDING\tCODE\tMENDED\tDETAIL\n")
	for _, f := range found.Findings {
		where := ""
		if f.Path != "" {
			where = "/" + safe(f.Path) + ": "
		}
		fmt.Fprintf(w, "%s\t%s\t%t\t%s%s\n", f.Severity, f.Code, f.Mended, where, safe(f.Detail))
	}
}

// sizeText writes a number of bytes as people read it; nothing for zero.
func sizeText(n int64) string {
	if n == 0 {
		return ""
	}
	return size.Text(n)
}
