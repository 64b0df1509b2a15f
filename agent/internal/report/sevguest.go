package report

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Linux, include/uapi/linux/sev-guest.h: sizes and offsets in bytes.
const (
	ioctlGetReport         = 0xC0205300 // SNP_GET_REPORT
	ioctlGetExtendedReport = 0xC0205302 // SNP_GET_EXT_REPORT

	requestSize         = 96  // struct snp_report_req: REPORT_DATA, VMPL, reserved
	extendedRequestSize = 112 // struct snp_ext_report_req
	offCertsAddress     = 96
	offCertsLength      = 104
	responseSize        = 4000 // struct snp_report_resp: MSG_REPORT_RSP
	sevGuestTableSize   = 16 << 10
)

// MSG_REPORT_RSP (56860 rev. 1.58, table of that name).
const (
	offStatus       = 0
	offReportSize   = 4
	offReport       = 32
	messageVersion  = 1
	offMessage      = 0 // struct snp_guest_request_ioctl
	offRequest      = 8
	offResponse     = 16
	guestIoctlSize  = 32
	firmwareErrorAt = 24
)

// Device does the ioctls of /dev/sev-guest.
type Device interface {
	// Report asks for a report; with a table, the host's certificates are
	// written to it.
	Report(data [DataSize]byte, table []byte) (response []byte, err error)
	Close() error
}

// SEVGuest is /dev/sev-guest.
type SEVGuest struct {
	Open func() (Device, error)
}

// Name returns "sev-guest".
func (SEVGuest) Name() string { return "sev-guest" }

// Report asks for the extended report. A host that has no certificates, or
// more than fit, makes that fail; then the bare report is enough.
func (s SEVGuest) Report(data [DataSize]byte) (*Evidence, error) {
	d, err := s.Open()
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %w", errUnavailable, err)
	}
	if err != nil {
		return nil, err
	}
	defer d.Close() //nolint:errcheck // nothing was written
	table := make([]byte, sevGuestTableSize)
	response, err := d.Report(data, table)
	if err != nil {
		table = nil
		if response, err = d.Report(data, nil); err != nil {
			return nil, fmt.Errorf("ask AMD-SP: %w", err)
		}
	}
	report, err := parseResponse(response)
	if err != nil {
		return nil, err
	}
	return &Evidence{Report: report, Certificates: table}, nil
}

// parseResponse takes the report out of MSG_REPORT_RSP.
func parseResponse(b []byte) ([]byte, error) {
	if len(b) < offReport+Size {
		return nil, fmt.Errorf("%w: MSG_REPORT_RSP of %d bytes, want at least %d", errMalformed, len(b), offReport+Size)
	}
	if status := binary.LittleEndian.Uint32(b[offStatus:]); status != 0 {
		return nil, fmt.Errorf("AMD-SP refuses a report: status %#x", status)
	}
	if size := binary.LittleEndian.Uint32(b[offReportSize:]); size != Size {
		return nil, fmt.Errorf("%w: report of %d bytes, want %d", errMalformed, size, Size)
	}
	return b[offReport : offReport+Size], nil
}

type sevGuestFile struct{ f *os.File }

// openSEVGuest opens the real device.
func openSEVGuest() (Device, error) {
	f, err := os.OpenFile("/dev/sev-guest", os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	return sevGuestFile{f}, nil
}

func (s sevGuestFile) Close() error { return s.f.Close() }

func (s sevGuestFile) Report(data [DataSize]byte, table []byte) ([]byte, error) {
	var pin runtime.Pinner // the kernel gets addresses of buffers inside of others
	defer pin.Unpin()
	address := func(b []byte) uint64 {
		pin.Pin(&b[0])
		return uint64(uintptr(unsafe.Pointer(&b[0])))
	}
	command, request := uintptr(ioctlGetReport), make([]byte, requestSize, extendedRequestSize)
	if table != nil {
		command, request = ioctlGetExtendedReport, request[:extendedRequestSize]
		binary.LittleEndian.PutUint64(request[offCertsAddress:], address(table))
		binary.LittleEndian.PutUint32(request[offCertsLength:], uint32(len(table)))
	}
	copy(request, data[:])
	response, message := make([]byte, responseSize), make([]byte, guestIoctlSize)
	message[offMessage] = messageVersion
	binary.LittleEndian.PutUint64(message[offRequest:], address(request))
	binary.LittleEndian.PutUint64(message[offResponse:], address(response))
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, s.f.Fd(), command, uintptr(unsafe.Pointer(&message[0])))
	runtime.KeepAlive(message)
	if errno != 0 {
		return nil, fmt.Errorf("%w (firmware or host error %#x)", errno, binary.LittleEndian.Uint64(message[firmwareErrorAt:]))
	}
	return response, nil
}
