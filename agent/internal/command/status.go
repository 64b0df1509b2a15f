package command

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/pflag"

	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/status"
)

func (p *Program) status(args []string) error {
	flags := pflag.NewFlagSet("status", pflag.ContinueOnError)
	asJSON := flags.Bool("json", false, "")
	if err := parse(flags, args); err != nil {
		return err
	}
	s, err := status.Read(filepath.Join(p.Root, status.Path))
	if err != nil {
		return err
	}
	if *asJSON {
		return printJSON(p.Stdout, s)
	}
	_, err = fmt.Fprint(p.Stdout, text(s))
	return err
}

// text returns the status for people.
func text(s *status.Status) string {
	var out strings.Builder
	if s.Simulated {
		out.WriteString("SIMULATED AMD-SP: this boot proves nothing\n")
	}
	line := func(name, format string, args ...any) {
		fmt.Fprintf(&out, "%-13s %s\n", name, fmt.Sprintf(format, args...))
	}
	line("image", "%s", s.ImageID)
	if s.Fields != nil {
		line("release", "%s", s.Fields.ImageID)
		line("measurement", "%s", s.Fields.Measurement)
		line("guest policy", "%s", s.Fields.Policy)
		line("chip ID", "%s", s.Fields.ChipID)
		line("report ID", "%s", s.Fields.ReportID)
	}
	if s.Instance != nil {
		line("instance", "%s, %s, generation %d", s.Instance.ID, s.Instance.State, s.Instance.Generation)
	}
	line("service", "%s", s.Service)
	certificates := "none from the host"
	if s.Certificates > 0 {
		certificates = fmt.Sprintf("%d bytes from the host", s.Certificates)
	}
	line("report", "from %s, certificates: %s", s.Provider, certificates)
	line("root", "%s on %s, %s, sectors of %d bytes", s.Root.Device, s.Root.Partition, s.Root.Cipher, s.Root.SectorSize)
	line("filesystem", "%s %s", s.Root.Filesystem, s.Root.FilesystemUUID)
	line("agent", "%s, %.3f s", s.Agent, s.Seconds)
	for _, step := range s.Steps {
		line("  "+step.Name, "%.3f s", step.Seconds)
	}
	return out.String()
}
