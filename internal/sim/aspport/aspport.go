// Package aspport is the protocol between a guest and the simulated AMD-SP, over
// a virtio-serial port. It takes the place of MSG_REPORT_REQ and MSG_REPORT_RSP
// (AMD, SEV Secure Nested Paging Firmware ABI, 56860 rev. 1.58, section 7.3),
// which real guests send encrypted through the hypervisor.
//
// One request gives one response. Numbers are little endian.
//
//	request, 76 bytes        response
//	 0  magic "SNPQ"          0  magic "SNPA"
//	 4  VMPL, 4 bytes         4  status, 4 bytes
//	 8  flags, 4 bytes, 0     8  length of the report, 4 bytes
//	12  REPORT_DATA, 64      12  length of the certificate table, 4 bytes
//	                         16  report, then certificate table
//
// Both sides read as if the other were hostile: lengths are checked before
// anything is allocated. The package imports the standard library only, so that
// the guest's agent stays small, and it proves nothing: simulated reports count
// only where a simulated root is trusted.
package aspport

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// PortName is the name of the virtio-serial port, in the guest's
// /sys/class/virtio-ports/*/name.
const PortName = "org.snpguard.sim-amd-sp"

// Sizes in bytes.
const (
	RequestSize      = 76
	ReportDataSize   = 64
	ReportSize       = 1184      // ATTESTATION_REPORT, 56860 section 7.3
	MaxCertTableSize = 64 * 1024 // of a response

	headerSize = 16 // of a response
)

// MaxVMPL is the least privileged of the VM privilege levels.
const MaxVMPL = 3

// The first four bytes of each message.
const (
	requestMagic  = "SNPQ"
	responseMagic = "SNPA"
)

// ErrProtocol means that the other side does not speak this protocol.
var ErrProtocol = errors.New("simulated AMD-SP: malformed message")

// Request asks for an attestation report.
type Request struct {
	VMPL       uint32               // 0 to MaxVMPL
	ReportData [ReportDataSize]byte // REPORT_DATA of the report
}

// Bytes returns r as RequestSize bytes.
func (r Request) Bytes() []byte {
	b := make([]byte, 0, RequestSize)
	b = append(b, requestMagic...)
	b = binary.LittleEndian.AppendUint32(b, r.VMPL)
	b = binary.LittleEndian.AppendUint32(b, 0)
	return append(b, r.ReportData[:]...)
}

// ReadRequest reads one request. The error wraps ErrProtocol when it is
// malformed, and is io.EOF when there is none.
func ReadRequest(from io.Reader) (Request, error) {
	var b [RequestSize]byte
	if _, err := io.ReadFull(from, b[:]); err != nil {
		return Request{}, err
	}
	r := Request{VMPL: binary.LittleEndian.Uint32(b[4:])}
	copy(r.ReportData[:], b[12:])
	switch flags := binary.LittleEndian.Uint32(b[8:]); {
	case string(b[:4]) != requestMagic:
		return Request{}, fmt.Errorf("%w: request begins with %q", ErrProtocol, b[:4])
	case r.VMPL > MaxVMPL:
		return Request{}, fmt.Errorf("%w: VMPL %d, want 0 to %d", ErrProtocol, r.VMPL, MaxVMPL)
	case flags != 0:
		return Request{}, fmt.Errorf("%w: flags %#x, want 0", ErrProtocol, flags)
	}
	return r, nil
}
