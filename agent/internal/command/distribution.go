package command

import "github.com/snpguard-go/packer-plugin-snpguard/agent/internal/status"

// keep is what the distribution's initrd of initramfs-tools runs last.
func (p *Program) keep() error { return status.Keep(p.Root) }
