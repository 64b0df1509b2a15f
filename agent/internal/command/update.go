package command

import (
	"context"
	"fmt"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"

	"github.com/spf13/pflag"
	"golang.org/x/sys/unix"

	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/artifacts"
	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/report"
	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/update"
)

func (p *Program) update(args []string) error {
	flags := pflag.NewFlagSet("update", pflag.ContinueOnError)
	var o update.Options
	flags.BoolVar(&o.Check, "check", false, "")
	flags.BoolVar(&o.Reboot, "reboot", false, "")
	flags.BoolVar(&o.Again, "again", false, "")
	if err := parse(flags, args); err != nil {
		return err
	}
	if o.Check && o.Reboot {
		return fmt.Errorf("%w: --check and --reboot cannot be used together", errUsage)
	}
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGINT, unix.SIGTERM)
	defer stop()
	return p.guest().Update(ctx, o)
}

func (p *Program) confirm(args []string) error {
	if err := parse(pflag.NewFlagSet("confirm", pflag.ContinueOnError), args); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGINT, unix.SIGTERM)
	defer stop()
	return p.guest().Confirm(ctx)
}

func (p *Program) guest() *update.Guest {
	machine := artifacts.Machine{Sys: filepath.Join(p.Root, "sys"), Dev: filepath.Join(p.Root, "dev")}
	return &update.Guest{
		Root:   p.Root,
		Open:   func() (update.Slots, func() error, error) { return update.OpenSlots(machine) },
		Reboot: reboot,
		Attest: func(data [report.DataSize]byte) (*report.Evidence, error) { return report.Get(p.Providers, data) },
		Log:    func(format string, args ...any) { fmt.Fprintf(p.Stdout, format+"\n", args...) },
	}
}

// reboot has the system's own program restart the machine, which ends services and
// warns who is logged in.
func reboot(ctx context.Context, at string) error {
	out, err := exec.CommandContext(ctx, "shutdown", "-r", at).CombinedOutput()
	if err != nil {
		return fmt.Errorf("shutdown -r %s: %w: %s", at, err, strings.TrimSpace(string(out)))
	}
	return nil
}
