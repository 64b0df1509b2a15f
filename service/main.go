// Snpguard-service is the attestation service: it registers images, verifies
// attestation reports and releases volume keys. This package only wires.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/manpage"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/option"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/config"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
	"github.com/snpguard-go/packer-plugin-snpguard/version"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// The exit codes, the same as the command line's.
const (
	exitOK          = 0
	exitUsage       = 2
	exitEnvironment = 3
)

// run runs the service until ctx ends and returns its exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := newCommand()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	var ran runError
	switch {
	case err == nil:
		return exitOK
	case !errors.As(err, &ran) || errors.Is(err, config.ErrUsage):
		fmt.Fprintf(stderr, "snpguard-service: %v\nRun \"snpguard-service --help\" for its options.\n", err)
		return exitUsage
	}
	fmt.Fprintf(stderr, "snpguard-service: %v\n", err)
	return exitEnvironment
}

// runError is what the service returned, where cobra complains about the command
// line.
type runError struct{ error }

func (e runError) Unwrap() error { return e.error }

// newCommand makes the command line. Cobra adds completion for shells.
func newCommand() *cobra.Command {
	var options config.Options
	root := &cobra.Command{
		Use:   "snpguard-service [flags]",
		Short: "The attestation service of SnpGuard",
		Long: `The attestation service of SnpGuard: registers images, verifies attestation
reports and releases volume keys. It starts with nothing prepared.

Every flag is also a variable, --admin-listen is SNPGUARD_ADMIN_LISTEN, and a
line in the file that --config names, without the dashes in front. Flags win over
variables, variables over the file.

Exit codes:
  0  it was told to end, and did
  2  the command line, a variable or the configuration file is wrong
  3  a file, the database or another part of the environment failed`,
		Example: `  snpguard-service --data /var/lib/snpguard --hostname attest.example.com
  snpguard-service --config /etc/snpguard/service.yaml --backup /var/backups/snpguard.db`,
		Version:       version.Line(),
		Args:          noArgs,
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := work(cmd, &options); err != nil {
				return runError{err}
			}
			return nil
		},
	}
	root.SetVersionTemplate("{{.Name}} {{.Version}}\n")
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return option.FlagError(err) })
	root.Flags().SortFlags = false
	options.Declare(root.Flags())
	root.AddCommand(manpage.NewCommand(root, "8"))
	return root
}

// noArgs refuses arguments: all there is to say are flags.
func noArgs(_ *cobra.Command, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("unexpected argument %q: flags begin with two dashes", args[0])
	}
	return nil
}

// work serves, or does the one thing that a flag asks for instead.
func work(cmd *cobra.Command, options *config.Options) error {
	cfg, err := options.Finish(os.LookupEnv, os.ReadFile)
	switch {
	case err != nil:
		return err
	case options.Backup != "":
		return store.Backup(cmd.Context(), cfg.Database, options.Backup)
	case options.RotateKEK != "":
		return rotateKEK(cmd.Context(), *cfg, options.RotateKEK, cmd.OutOrStdout())
	case options.Health:
		return checkHealth(cmd.Context(), *cfg, cmd.OutOrStdout())
	case options.ResetPassword:
		return resetPassword(cmd.Context(), *cfg, cmd.OutOrStdout())
	}
	return serve(cmd.Context(), *cfg, cmd.ErrOrStderr())
}
