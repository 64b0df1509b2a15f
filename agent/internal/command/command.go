// Package command is the agent in the running system: it tells how this boot was
// attested, gets reports for applications, and changes the guest to newer releases.
package command

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime"

	"github.com/spf13/pflag"

	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/report"
	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/service"
	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/status"
)

// Exit codes.
const (
	exitDone        = 0
	exitNo          = 1 // the answer is no: this boot was not attested, or the service refuses
	exitUsage       = 2
	exitEnvironment = 3
)

const usage = `snpguard-agent unlocks a confidential VM from its initrd, where it takes no options.
In the running system:

  snpguard-agent status [--json]
      how this boot was attested
  snpguard-agent report --nonce NONCE [--out FILE]
      a fresh attestation report for a verifier, which has just drawn the nonce
      and compares it with "snpguard report verify --nonce NONCE"; the host's
      certificate table follows it when there is one.
      NONCE is 16 to 64 bytes as hexadecimal digits or base64
  snpguard-agent update [--check | --reboot] [--again]
      asks the service whether there is a release for an installed kernel, and
      writes it to the slot that is not in use, for the next launch; --check only
      asks. /etc/snpguard/update.json says when to reboot: {"reboot": "never"},
      "now" or a time such as "04:30"; --reboot does it at once. --again also takes
      a release that was tried and did not come up
  snpguard-agent confirm
      tells disk and service that the release that runs has booted completely
  snpguard-agent version
      the version of this program

Exit codes: 0 done, 1 this boot was not attested or the service refuses this guest,
2 the command line is wrong, 3 the environment failed.

Example:
  snpguard-agent report --nonce "$(openssl rand -hex 32)" --out report.bin
`

// Program is the agent outside of PID 1.
type Program struct {
	Root           string // directory under which files are looked for; "/" in production
	Version        string
	Providers      []report.Provider
	Stdout, Stderr io.Writer
}

// errUsage is a wrong command line.
var errUsage = errors.New("wrong command line")

// Run runs one command and returns its exit code.
func (p *Program) Run(args []string) int {
	err := p.run(args)
	switch {
	case err == nil:
		return exitDone
	case errors.Is(err, pflag.ErrHelp):
		fmt.Fprint(p.Stdout, usage)
		return exitDone
	}
	fmt.Fprintf(p.Stderr, "snpguard-agent: %v\n", err)
	switch {
	case errors.Is(err, status.ErrNone), errors.Is(err, service.ErrDenied):
		return exitNo
	case errors.Is(err, errUsage):
		fmt.Fprintln(p.Stderr, `Run "snpguard-agent --help" for usage.`)
		return exitUsage
	}
	return exitEnvironment
}

func (p *Program) run(args []string) error {
	if len(args) == 0 {
		return fmt.Errorf("%w: want the command status, report, update, confirm or version", errUsage)
	}
	switch args[0] {
	case "status":
		return p.status(args[1:])
	case "report":
		return p.report(args[1:])
	case "update":
		return p.update(args[1:])
	case "confirm":
		return p.confirm(args[1:])
	case "version", "--version":
		_, err := fmt.Fprintf(p.Stdout, "snpguard-agent %s (%s)\n", p.Version, runtime.Version())
		return err
	case "keep":
		return p.keep()
	case "help", "--help", "-h":
		return pflag.ErrHelp
	}
	return fmt.Errorf("%w: unknown command %q", errUsage, args[0])
}

// parse reads flags and wants no further arguments.
func parse(flags *pflag.FlagSet, args []string) error {
	flags.SetOutput(io.Discard)
	flags.Usage = func() {}
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, pflag.ErrHelp) {
			return err
		}
		var invalid *pflag.InvalidValueError
		if errors.As(err, &invalid) { // --json=word: no other flag refuses a word
			return fmt.Errorf("%w: --%s takes no value", errUsage, invalid.GetFlag().Name)
		}
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("%w: unexpected argument %q", errUsage, flags.Arg(0))
	}
	return nil
}

func printJSON(w io.Writer, v any) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(v)
}
