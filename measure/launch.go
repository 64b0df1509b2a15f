package measure

import "fmt"

// Config says what a hypervisor loads, apart from the vCPUs.
type Config struct {
	// VMM is the virtual machine monitor; the zero value is QEMU.
	VMM VMM

	// Firmware is the guest firmware. Always needed.
	Firmware *Firmware

	// FirmwareDigest, when not nil, stands for hashing Firmware's pages: the
	// digest after them, as FirmwareDigest computes it. Firmware's tables
	// are read all the same.
	FirmwareDigest *Digest

	// Kernel, when not nil, is a direct boot with kernel-hashes=on.
	Kernel *KernelHashes

	// GuestFeatures is SEV_FEATURES of every vCPU. Zero means zero: most
	// launches want DefaultGuestFeatures. An SVSM overrides it.
	GuestFeatures uint64

	// SVSM, when not nil, is a COCONUT-SVSM binary in front of the firmware
	// (QEMU only). It lies below the firmware and SVSMVarsSize bytes of
	// UEFI variables.
	SVSM         *Firmware
	SVSMVarsSize uint32
}

// Launch is a measured guest that still lacks its vCPUs. It is immutable and
// safe for concurrent use.
type Launch struct {
	config Config
	base   chain
	steps  []Step
	bsp    func(signature uint32) VMSA // the first state of vCPU 0
	ap     func(signature uint32) VMSA // and of every other

	hashesGPA uint32 // of the SEV hashes table, with a kernel
}

// FirmwareDigest returns the launch digest after the firmware's pages alone,
// for Config.FirmwareDigest.
func FirmwareDigest(f *Firmware) Digest {
	var c chain
	c.normal(fourGiB-uint64(f.Size()), f.data)
	return Digest(c)
}

// New measures everything but the vCPUs. The errors wrap the Err values of
// this package.
func New(config Config) (*Launch, error) {
	if err := config.check(); err != nil {
		return nil, err
	}
	l := &Launch{config: config}
	if config.Kernel != nil {
		var err error
		if l.hashesGPA, err = config.Firmware.KernelHashesGPA(); err != nil {
			return nil, err
		}
	}
	l.loadFirmware()
	if config.SVSM != nil {
		return l, l.loadSVSM()
	}
	if err := l.loadSections(config.Firmware.Sections()); err != nil {
		return nil, err
	}
	eip, err := config.Firmware.resetEIP()
	if err != nil {
		return nil, err
	}
	l.bsp = func(signature uint32) VMSA {
		return realModeVMSA(config.VMM, bspEIP, signature, config.GuestFeatures)
	}
	l.ap = func(signature uint32) VMSA {
		return realModeVMSA(config.VMM, eip, signature, config.GuestFeatures)
	}
	return l, nil
}

func (c Config) check() error {
	if c.Firmware == nil {
		return fmt.Errorf("%w: no firmware", ErrConfig)
	}
	if c.SVSM == nil {
		if c.SVSMVarsSize != 0 {
			return fmt.Errorf("%w: a variables size without an SVSM", ErrConfig)
		}
		return nil
	}
	switch {
	case c.VMM != QEMU:
		return fmt.Errorf("%w: an SVSM needs QEMU, not %s", ErrConfig, c.VMM)
	case c.Kernel != nil:
		return fmt.Errorf("%w: a kernel cannot be measured together with an SVSM", ErrConfig)
	case c.FirmwareDigest != nil:
		return fmt.Errorf("%w: a firmware digest cannot be given with an SVSM", ErrConfig)
	case c.SVSMVarsSize == 0 || c.SVSMVarsSize%PageSize != 0:
		return fmt.Errorf("%w: an SVSM needs the size of the variables in whole pages of %d bytes, not %d",
			ErrConfig, PageSize, c.SVSMVarsSize)
	case int64(c.SVSMVarsSize) > fourGiB-int64(c.Firmware.Size())-int64(c.SVSM.Size()):
		return fmt.Errorf("%w: variables of %d bytes leave no room for the SVSM", ErrConfig, c.SVSMVarsSize)
	}
	return nil
}

// loadFirmware adds the firmware's own pages, which end at 4 GiB.
func (l *Launch) loadFirmware() {
	f := l.config.Firmware
	if d := l.config.FirmwareDigest; d != nil {
		l.base = chain(*d)
	} else {
		l.base = chain(FirmwareDigest(f))
	}
	l.record("firmware", pageNormal, fourGiB-uint64(f.Size()), uint64(f.Size()))
}

// loadSVSM adds the SVSM's pages and its sections in place of the firmware's.
func (l *Launch) loadSVSM() error {
	svsm := l.config.SVSM
	gpa := uint64(fourGiB-l.config.Firmware.Size()-svsm.Size()) - uint64(l.config.SVSMVarsSize)
	entry, err := svsm.svsmEntry()
	if err != nil {
		return err
	}
	l.base.normal(gpa, svsm.data)
	l.record("SVSM", pageNormal, gpa, uint64(svsm.Size()))
	start := func(signature uint32) VMSA { return svsmVMSA(gpa+uint64(entry), signature) }
	l.bsp, l.ap = start, start
	return l.loadSections(svsm.Sections())
}

// loadSections adds the metadata sections in table order. EC2 loads the CPUID
// pages after all others.
func (l *Launch) loadSections(sections []Section) error {
	var last []Section
	for _, s := range sections {
		if s.Type == SectionCPUID && l.config.VMM == EC2 {
			last = append(last, s)
			continue
		}
		if err := l.loadSection(s); err != nil {
			return err
		}
	}
	for _, s := range last {
		if err := l.loadSection(s); err != nil {
			return err
		}
	}
	return nil
}

func (l *Launch) loadSection(s Section) error {
	pageType := byte(pageZero)
	switch s.Type {
	case SectionSNPSecMem:
		if l.config.VMM == GCE {
			pageType = pageUnmeasured
		}
	case SectionSNPSecrets:
		pageType = pageSecrets
	case SectionCPUID:
		pageType = pageCPUID
	case SectionSNPKernelHashes:
		if l.config.Kernel != nil {
			return l.loadKernelHashes(s)
		}
	}
	l.base.blank(pageType, uint64(s.GPA), s.Size)
	l.record(s.Type.String(), pageType, uint64(s.GPA), uint64(s.Size))
	return nil
}

// loadKernelHashes adds the page with the hashes table where the firmware looks
// for it. Like QEMU, it puts the table into every section of that type.
func (l *Launch) loadKernelHashes(s Section) error {
	if s.Size != PageSize {
		return fmt.Errorf("%w: %s at %#x has %#x bytes, want one page", ErrBadMetadata, s.Type, s.GPA, s.Size)
	}
	var page [PageSize]byte
	copy(page[l.hashesGPA%PageSize:], l.config.Kernel.Table())
	l.base.normal(uint64(s.GPA), page[:])
	l.record(s.Type.String(), pageNormal, uint64(s.GPA), PageSize)
	return nil
}

// record notes the digest after a step.
func (l *Launch) record(name string, pageType byte, gpa, size uint64) {
	l.steps = append(l.steps, Step{
		Name: name, PageType: pageTypeName(pageType), GPA: Hex(gpa), Size: size, Digest: Digest(l.base),
	})
}

// Digest returns the launch digest of the guest with these vCPUs. The error
// wraps ErrVCPUs.
func (l *Launch) Digest(v VCPUs) (Digest, error) {
	if err := v.check(); err != nil {
		return Digest{}, err
	}
	_, digest := l.addVCPUs(v)
	return digest, nil
}

func (v VCPUs) check() error {
	if v.Count < 1 || v.Count > MaxVCPUs {
		return fmt.Errorf("%w: %d vCPUs, want 1 to %d", ErrVCPUs, v.Count, MaxVCPUs)
	}
	return nil
}

// addVCPUs returns the digest after the boot processor and after all.
func (l *Launch) addVCPUs(v VCPUs) (boot, all Digest) {
	c := l.base
	c.extend(pageVMSA, vmsaGPA, sum(l.bsp(v.Type.Signature)))
	boot = Digest(c)
	if v.Count > 1 {
		ap := sum(l.ap(v.Type.Signature))
		for range v.Count - 1 {
			c.extend(pageVMSA, vmsaGPA, ap)
		}
	}
	return boot, Digest(c)
}
