package aspport

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Status says whether the simulated AMD-SP made a report.
type Status uint32

// The statuses, in the numbers of the AMD-SP (56860 rev. 1.58, chapter 5, "Status
// Codes").
const (
	StatusSuccess      Status = 0x00
	StatusInvalidParam Status = 0x16
)

// Response is the answer to a Request.
type Response struct {
	Status    Status
	Report    []byte // ReportSize bytes on success, otherwise none
	CertTable []byte // GHCB certificate table, at most MaxCertTableSize bytes, may be empty
}

// Bytes returns r encoded. The error wraps ErrProtocol when r has a report of
// another size, a table that is too large, or a report although it was refused.
func (r Response) Bytes() ([]byte, error) {
	if err := checkLengths(r.Status, uint64(len(r.Report)), uint64(len(r.CertTable))); err != nil {
		return nil, err
	}
	b := make([]byte, 0, headerSize+len(r.Report)+len(r.CertTable))
	b = append(b, responseMagic...)
	b = binary.LittleEndian.AppendUint32(b, uint32(r.Status))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(r.Report)))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(r.CertTable)))
	b = append(b, r.Report...)
	return append(b, r.CertTable...), nil
}

// ReadResponse reads one response. The error wraps ErrProtocol when it is
// malformed. A refusal is no error here: look at Status.
func ReadResponse(from io.Reader) (Response, error) {
	var h [headerSize]byte
	if _, err := io.ReadFull(from, h[:]); err != nil {
		return Response{}, err
	}
	if string(h[:4]) != responseMagic {
		return Response{}, fmt.Errorf("%w: response begins with %q", ErrProtocol, h[:4])
	}
	r := Response{Status: Status(binary.LittleEndian.Uint32(h[4:]))}
	reportSize, tableSize := binary.LittleEndian.Uint32(h[8:]), binary.LittleEndian.Uint32(h[12:])
	if err := checkLengths(r.Status, uint64(reportSize), uint64(tableSize)); err != nil {
		return Response{}, err
	}
	body := make([]byte, reportSize+tableSize)
	if _, err := io.ReadFull(from, body); errors.Is(err, io.EOF) {
		return Response{}, io.ErrUnexpectedEOF // not even a byte after the header
	} else if err != nil {
		return Response{}, err
	}
	r.Report, r.CertTable = body[:reportSize:reportSize], body[reportSize:]
	return r, nil
}

func checkLengths(status Status, report, table uint64) error {
	wantReport := uint64(ReportSize)
	if status != StatusSuccess {
		wantReport = 0
	}
	switch {
	case report != wantReport:
		return fmt.Errorf("%w: report of %d bytes with status %#x, want %d", ErrProtocol, report, uint32(status), wantReport)
	case table > MaxCertTableSize:
		return fmt.Errorf("%w: certificate table of %d bytes, want at most %d", ErrProtocol, table, MaxCertTableSize)
	case status != StatusSuccess && table != 0:
		return fmt.Errorf("%w: certificate table with status %#x", ErrProtocol, uint32(status))
	}
	return nil
}
