package measure

import "encoding/binary"

// DefaultGuestFeatures is SEV_FEATURES of a vCPU as QEMU starts it: SNPActive
// alone (APM volume 2, appendix B, table B-4, offset 0x3B0).
const DefaultGuestFeatures = 0x1

// bspEIP is the reset vector, where the boot processor starts.
const bspEIP = 0xFFFFFFF0

// Segment is a segment register in a VMSA (APM volume 2, appendix B, table
// B-4). Selector and Attrib have 16 bits, Limit has 32.
type Segment struct {
	Selector Hex `json:"selector"`
	Attrib   Hex `json:"attrib"`
	Limit    Hex `json:"limit"`
	Base     Hex `json:"base"`
}

// VMSA holds the fields of a VM save area that are not zero when a hypervisor
// creates a vCPU (APM volume 2, appendix B, table B-4; names as there). MXCSR
// has 32 bits, X87FCW 16, the others 64.
type VMSA struct {
	ES          Segment `json:"es"`
	CS          Segment `json:"cs"`
	SS          Segment `json:"ss"`
	DS          Segment `json:"ds"`
	FS          Segment `json:"fs"`
	GS          Segment `json:"gs"`
	GDTR        Segment `json:"gdtr"`
	LDTR        Segment `json:"ldtr"`
	IDTR        Segment `json:"idtr"`
	TR          Segment `json:"tr"`
	EFER        Hex     `json:"efer"`
	CR4         Hex     `json:"cr4"`
	CR0         Hex     `json:"cr0"`
	DR7         Hex     `json:"dr7"`
	DR6         Hex     `json:"dr6"`
	RFLAGS      Hex     `json:"rflags"`
	RIP         Hex     `json:"rip"`
	GPAT        Hex     `json:"g_pat"`
	RDX         Hex     `json:"rdx"`
	SEVFeatures Hex     `json:"sev_features"`
	XCR0        Hex     `json:"xcr0"`
	MXCSR       Hex     `json:"mxcsr"`
	X87FCW      Hex     `json:"x87_fcw"`
}

// namedSegment is a segment with the register's name.
type namedSegment struct {
	name string
	Segment
}

// segments returns the segment registers in the order of the save area.
func (v VMSA) segments() []namedSegment {
	return []namedSegment{
		{"ES", v.ES}, {"CS", v.CS}, {"SS", v.SS}, {"DS", v.DS}, {"FS", v.FS}, {"GS", v.GS},
		{"GDTR", v.GDTR}, {"LDTR", v.LDTR}, {"IDTR", v.IDTR}, {"TR", v.TR},
	}
}

// Offsets in the VMSA (APM volume 2, appendix B, table B-4).
const (
	vmsaSegments    = 0x000 // ten, see segments
	vmsaSegmentSize = 0x010
	vmsaEFER        = 0x0D0
	vmsaCR4         = 0x148
	vmsaCR0         = 0x158
	vmsaDR7         = 0x160
	vmsaDR6         = 0x168
	vmsaRFLAGS      = 0x170
	vmsaRIP         = 0x178
	vmsaGPAT        = 0x268
	vmsaRDX         = 0x310
	vmsaSEVFeatures = 0x3B0
	vmsaXCR0        = 0x3E8
	vmsaMXCSR       = 0x408
	vmsaX87FCW      = 0x410
)

// Page returns the save area as the page that the AMD-SP measures.
func (v VMSA) Page() [PageSize]byte {
	var page [PageSize]byte
	le := binary.LittleEndian
	for i, s := range v.segments() {
		b := page[vmsaSegments+i*vmsaSegmentSize:]
		le.PutUint16(b, uint16(s.Selector))
		le.PutUint16(b[2:], uint16(s.Attrib))
		le.PutUint32(b[4:], uint32(s.Limit))
		le.PutUint64(b[8:], uint64(s.Base))
	}
	le.PutUint64(page[vmsaEFER:], uint64(v.EFER))
	le.PutUint64(page[vmsaCR4:], uint64(v.CR4))
	le.PutUint64(page[vmsaCR0:], uint64(v.CR0))
	le.PutUint64(page[vmsaDR7:], uint64(v.DR7))
	le.PutUint64(page[vmsaDR6:], uint64(v.DR6))
	le.PutUint64(page[vmsaRFLAGS:], uint64(v.RFLAGS))
	le.PutUint64(page[vmsaRIP:], uint64(v.RIP))
	le.PutUint64(page[vmsaGPAT:], uint64(v.GPAT))
	le.PutUint64(page[vmsaRDX:], uint64(v.RDX))
	le.PutUint64(page[vmsaSEVFeatures:], uint64(v.SEVFeatures))
	le.PutUint64(page[vmsaXCR0:], uint64(v.XCR0))
	le.PutUint32(page[vmsaMXCSR:], uint32(v.MXCSR))
	le.PutUint16(page[vmsaX87FCW:], uint16(v.X87FCW))
	return page
}

// Architectural values at reset (APM volume 2, section 14.1.3), and the two
// bits that KVM sets for itself.
const (
	resetCR0    = 0x10
	resetDR6    = 0xFFFF0FF0
	resetDR7    = 0x400
	resetRFLAGS = 0x2
	resetPAT    = 0x0007040600070406
	resetMXCSR  = 0x1F80
	resetFCW    = 0x37F
	resetXCR0   = 0x1
	eferSVME    = 0x1000
	cr4MCE      = 0x40

	// cloudRDX is the signature that EC2 and GCE give every vCPU.
	cloudRDX = 0x600
	// gcePAT is GCE's own page attribute table.
	gcePAT = 0x00070106
)

// realModeVMSA is a vCPU that starts at eip in real mode, as every firmware
// expects.
func realModeVMSA(vmm VMM, eip, signature uint32, features uint64) VMSA {
	data := Segment{Attrib: 0x93, Limit: 0xFFFF}
	v := VMSA{
		ES: data, SS: data, DS: data, FS: data, GS: data,
		CS:   Segment{Selector: 0xF000, Attrib: 0x9B, Limit: 0xFFFF, Base: Hex(eip &^ 0xFFFF)},
		GDTR: Segment{Limit: 0xFFFF}, IDTR: Segment{Limit: 0xFFFF},
		LDTR: Segment{Attrib: 0x82, Limit: 0xFFFF},
		TR:   Segment{Attrib: 0x8B, Limit: 0xFFFF},
		EFER: eferSVME, CR4: cr4MCE, CR0: resetCR0, DR7: resetDR7, DR6: resetDR6,
		RFLAGS: resetRFLAGS, RIP: Hex(eip & 0xFFFF),
		GPAT: resetPAT, RDX: cloudRDX, SEVFeatures: Hex(features), XCR0: resetXCR0,
	}
	switch vmm {
	case QEMU:
		v.RDX, v.MXCSR, v.X87FCW = Hex(signature), resetMXCSR, resetFCW
	case EC2:
		v.SS.Attrib, v.TR.Attrib = 0x92, 0x83
		if eip == bspEIP {
			v.CS.Attrib = 0x9A
		}
	case GCE:
		v.GPAT = gcePAT
	}
	return v
}

// svsmVMSA is a vCPU that starts an SVSM at eip in flat protected mode, as
// QEMU with COCONUT-SVSM sets it up. Every vCPU starts there, SEV_FEATURES is
// SNPActive alone, and the x87 control word stays zero.
func svsmVMSA(eip uint64, signature uint32) VMSA {
	flat := Segment{Selector: 0x10, Attrib: 0xC93, Limit: 0xFFFFFFFF}
	v := realModeVMSA(QEMU, 0, signature, DefaultGuestFeatures)
	v.ES, v.SS, v.DS, v.FS = flat, flat, flat, flat
	v.CS = Segment{Selector: 0x08, Attrib: 0xC9B, Limit: 0xFFFFFFFF}
	v.CR0 |= 1 // protected mode
	v.RIP = Hex(eip)
	v.X87FCW = 0
	return v
}
