package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/manpage"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/option"
	"github.com/snpguard-go/packer-plugin-snpguard/version"
)

// run executes one command line and returns its exit code.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	root := newRootCommand()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	cmd, err := root.ExecuteContextC(ctx)
	return report(stderr, cmd, err)
}

func newRootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "snpguard",
		Short: "Make, register and launch confidential VMs on AMD SEV-SNP",
		Long: `snpguard turns stock cloud images into confidential VMs on AMD SEV-SNP.

Results go to standard output, everything else to standard error.

Exit codes:
  0  done
  1  the answer is no: not genuine, not equal, not acceptable
  2  the command line is wrong
  3  a file, program, service or other part of the environment failed`,
		Example: `  snpguard login https://attest.example.com:3000
  snpguard convert --help`,
		Version:       version.Line(),
		Args:          wantsCommand,
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetVersionTemplate("{{.Name}} {{.Version}}\n")
	root.AddCommand(
		newMeasureCommand(),
		newIDBlockCommand(),
		newKeyDigestCommand(),
		newLoginCommand(),
		newLogoutCommand(),
		newStatusCommand(),
		newConvertCommand(),
		newInspectCommand(),
		newKeygenCommand(),
		newSealCommand(),
		newUnsealCommand(),
		newKeysCommand(),
		newRegisterCommand(),
		newImageCommand(), newInstanceCommand(), newReleaseCommand(), newChannelCommand(),
		newTokenCommand(),
		newAuditCommand(),
		newReportCommand(),
		newKDSCommand(),
		newEmbedCommand(),
		newArtifactsCommand(),
		newLaunchConfigCommand(),
		newLaunchCommand(),
		newSimCommand(),
		newVersionCommand(),
		manpage.NewCommand(root, "1"),
	)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return option.FlagError(err) })
	markRunErrors(root)
	addCompletions(root)
	return root
}

// wantsCommand refuses arguments of a command that only has commands below it, and
// guesses what was meant.
func wantsCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	err := fmt.Errorf("unknown command %q for %q", args[0], cmd.CommandPath())
	cmd.SuggestionsMinimumDistance = 2
	if meant := cmd.SuggestionsFor(args[0]); len(meant) > 0 {
		return fmt.Errorf("%w; did you mean %q?", err, meant[0])
	}
	return err
}

// markRunErrors tells what commands return from what cobra complains about
// before it runs one, which is always about the command line.
func markRunErrors(cmd *cobra.Command) {
	if runE := cmd.RunE; runE != nil {
		cmd.RunE = func(cmd *cobra.Command, args []string) error {
			err := checkNotEmpty(cmd)
			if err == nil {
				err = checkOutputs(cmd)
			}
			if err == nil {
				err = runE(cmd, args)
			}
			if err != nil {
				return runError{err}
			}
			return nil
		}
	}
	for _, sub := range cmd.Commands() {
		markRunErrors(sub)
	}
}

// checkNotEmpty refuses flags that are given without a value. A variable that a
// script forgot to set, as in --report-data "$NONCE", must not pass for a wish for
// nothing. The command line of a kernel may be empty.
func checkNotEmpty(cmd *cobra.Command) error {
	var err error
	cmd.Flags().Visit(func(f *pflag.Flag) {
		if f.Value.Type() == "string" && f.Value.String() == "" && f.Name != "cmdline" && err == nil {
			err = usageErrorf("--%s needs a value", f.Name)
		}
	})
	return err
}

// The exit codes, documented in the root command's help.
const (
	exitOK          = 0
	exitNo          = 1
	exitUsage       = 2
	exitEnvironment = 3
)

// runError is what a command returned.
type runError struct{ error }

func (e runError) Unwrap() error { return e.error }

// usageError is a command line that a command cannot carry out as it was
// written.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func usageErrorf(format string, args ...any) error {
	return usageError{fmt.Errorf(format, args...)}
}

// errNo is the answer "no". The command has already said why.
var errNo = errors.New("no")

// report prints the error of a command once and returns the exit code for it.
func report(stderr io.Writer, cmd *cobra.Command, err error) int {
	var ran runError
	var usage usageError
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, errNo):
		return exitNo
	case !errors.As(err, &ran) || errors.As(err, &usage):
		fmt.Fprintf(stderr, "snpguard: %v\nRun \"%s --help\" for usage.\n", err, cmd.CommandPath())
		return exitUsage
	}
	fmt.Fprintf(stderr, "snpguard: %v\n", err)
	if errors.Is(err, syscall.ECONNREFUSED) {
		fmt.Fprintln(stderr, "Check that the service is running, and on which port it listens.")
	}
	return exitEnvironment
}
