package boot

import (
	"context"
	"fmt"

	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/report"
	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/status"
	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/timeline"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/bootconf"
)

// initPath is the distribution's own first program.
const initPath = "/init"

// handOver leaves the machine as the kernel would have given it to the
// distribution, but for the open root, and becomes its init.
func (b *Boot) handOver(context.Context) error {
	if err := b.net.Down(); err != nil {
		return fmt.Errorf("take the network down: %w", err)
	}
	keepRun, err := status.Arrange(b.Machine.Root, b.status())
	if err != nil {
		return err
	}
	b.Log.Printf("hand-over", "to %s after %s", initPath, timeline.Text(b.Log.Steps()))
	var kept []string
	if keepRun {
		kept = []string{dirRun}
	}
	if err := b.mounts.unmount(kept...); err != nil {
		return err
	}
	return b.Machine.Exec(initPath)
}

// status says how this boot was attested.
func (b *Boot) status() *status.Status {
	e, r := b.grant.Evidence, b.config.Root
	fields, _ := report.ParseFields(e.Report) // its size was checked when it came
	return &status.Status{
		Format: status.Format, Agent: b.Version, Simulated: b.config.Simulated, ImageID: b.config.ImageID,
		Service: b.grant.Service, Interface: b.grant.Path, Provider: e.Provider, Certificates: len(e.Certificates), Report: e.Report, Fields: fields,
		Root: status.Root{
			Partition: b.root.Name, Device: bootconf.MapperPath, Cipher: r.Cipher, SectorSize: r.SectorSize,
			Filesystem: r.Filesystem, FilesystemUUID: r.FilesystemUUID,
		},
		Seconds: b.Log.Elapsed().Seconds(), Steps: b.Log.Steps(),
	}
}
