package boot

import (
	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/report"
	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/status"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/bootconf"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// status says how this boot was attested.
func (b *Boot) status() *status.Status {
	e, r := b.grant.Evidence, b.config.Root
	fields, _ := report.ParseFields(e.Report) // its size was checked when it came
	s := &status.Status{
		Format: status.Format, Agent: b.Version, Simulated: b.config.Simulated, ImageID: b.config.ImageID,
		Service: b.grant.Service, Interface: b.grant.Path, Provider: e.Provider, Certificates: len(e.Certificates), Report: e.Report, Fields: fields,
		Root: status.Root{
			Partition: b.root.Name, Device: bootconf.MapperPath, Cipher: r.Cipher, SectorSize: r.SectorSize,
			Filesystem: r.Filesystem, FilesystemUUID: r.FilesystemUUID,
		},
		Seconds: b.Log.Elapsed().Seconds(), Steps: b.Log.Steps(),
	}
	if b.state != wire.StateNone {
		s.Instance = &status.Instance{ID: b.grant.Instance, State: b.state, Generation: b.generation}
	}
	return s
}
