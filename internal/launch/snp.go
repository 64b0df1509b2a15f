package launch

import (
	"encoding/base64"
	"fmt"
)

// SNP is a guest on a host with SEV-SNP.
type SNP struct {
	Guest      *Guest
	Machine    Machine
	Encryption Encryption
}

// Args returns QEMU's arguments, without the program. Since QEMU 9.1.
func (s SNP) Args() []string {
	g := s.Guest
	object := fmt.Sprintf("sev-snp-guest,id=sev0,cbitpos=%d,reduced-phys-bits=%d,policy=%#x,kernel-hashes=on",
		s.Encryption.CBitPos, s.Encryption.ReducedPhysBits, uint64(g.Policy))
	if g.IDBlock != nil {
		object += ",id-block=" + base64.StdEncoding.EncodeToString(g.IDBlock) + ",id-auth=" + base64.StdEncoding.EncodeToString(g.IDAuth)
	}
	if g.AuthorKey {
		object += ",author-key-enabled=on"
	}
	if data := s.Machine.hostData(); data != "" {
		object += ",host-data=" + data
	}
	args := []string{
		"-accel", "kvm",
		"-machine", "q35,confidential-guest-support=sev0,memory-backend=ram0,vmport=off",
		"-cpu", g.VCPUs.Type.Name, // never "host": the model is measured
		"-object", fmt.Sprintf("memory-backend-memfd,id=ram0,size=%dM,share=true,prealloc=false", s.Machine.Memory>>20),
		"-object", object,
		"-bios", g.Firmware, // not as flash, which SEV-SNP cannot map
	}
	// Devices reach the guest's memory through shared buffers only.
	return append(args, s.Machine.args(g, ",disable-legacy=on,iommu_platform=on")...)
}
