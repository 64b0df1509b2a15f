package snp

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// MaxWrappedSize bounds in bytes what Unwrap is given: an extended report in
// hexadecimal digits, with blanks and line ends between them.
const MaxWrappedSize = 3 * (ReportSize + MaxCertTableSize)

// Form says how a report was wrapped, for people.
type Form string

// The forms of reports. One that is text may hold one that is not.
const (
	Bare     Form = ""
	Hex      Form = "hexadecimal digits"
	Base64   Form = "base64"
	Response Form = "response buffer of the AMD-SP"
	HCL      Form = "HCL report of Azure"
)

// MSG_REPORT_RSP (56860 rev. 1.58, table of that name), which Linux hands on in a
// buffer of 4000 bytes (SNP_GET_REPORT, struct snp_report_resp). Little-endian.
const (
	responseStatus   = 0x00
	responseSize     = 0x04
	responseReserved = 0x08
	responseReport   = 0x20

	statusInvalidParameters = 0x16
	statusInvalidKey        = 0x27
)

// The report of Azure's paravisor (HCL), NV index 0x01400001 of its vTPM
// (Microsoft, "Attestation report format" of confidential VMs): a header, the
// hardware's report, and behind it what the paravisor says of itself. Little-endian.
const (
	hclMagic    = "HCLA"
	hclReport   = 0x20
	hclRuntime  = hclReport + ReportSize // IGVM_REQUEST_DATA
	hclHardware = hclRuntime + 8         // its report type
	hclTDX      = 4
)

// Unwrap returns the report, bare or extended, out of the forms in which tools hand
// it on: bytes as they are, hexadecimal digits, base64, the response buffer of the
// AMD-SP, an HCL report of Azure, and text of one of those. It is what the form says
// and no more: ParseReport has yet to read it. The error wraps ErrReportFormat.
func Unwrap(data []byte) ([]byte, Form, error) {
	raw, text, err := fromText(data)
	if err != nil {
		return nil, Bare, fmt.Errorf("%w: %w", ErrReportFormat, err)
	}
	report, form, err := fromBuffer(raw)
	switch {
	case err != nil:
		return nil, Bare, fmt.Errorf("%w: %w", ErrReportFormat, err)
	case text == Bare:
		return report, form, nil
	case form == Bare:
		return report, text, nil
	}
	return report, form + ", as " + text, nil
}

// fromText decodes text. A report has bytes that are no text.
func fromText(data []byte) ([]byte, Form, error) {
	if !isText(data) {
		return data, Bare, nil
	}
	digits := strings.Join(strings.Fields(string(data)), "")
	raw, err := hex.DecodeString(strings.TrimPrefix(digits, "0x"))
	switch {
	case err == nil:
		return raw, Hex, nil
	case errors.Is(err, hex.ErrLength):
		return nil, Bare, errors.New("an odd number of hexadecimal digits: one is missing")
	}
	digits = strings.NewReplacer("-", "+", "_", "/").Replace(strings.TrimRight(digits, "="))
	if raw, err := base64.RawStdEncoding.Strict().DecodeString(digits); err == nil {
		return raw, Base64, nil
	}
	return nil, Bare, errors.New("it is text, and neither hexadecimal digits nor base64")
}

func isText(data []byte) bool {
	for _, c := range data {
		if (c < ' ' || c > '~') && c != '\n' && c != '\r' && c != '\t' {
			return false
		}
	}
	return len(data) > 0
}

// fromBuffer takes a report out of a buffer around it.
func fromBuffer(raw []byte) ([]byte, Form, error) {
	switch {
	case bytes.HasPrefix(raw, []byte(hclMagic)):
		report, err := fromHCL(raw)
		return report, HCL, err
	case isResponse(raw):
		report, err := fromResponse(raw)
		return report, Response, err
	}
	return raw, Bare, nil
}

// isResponse tells a response from a report: where a report has its guest policy,
// one bit of which is always set, a response has reserved bytes.
func isResponse(raw []byte) bool {
	if len(raw) < responseReport || !zero(raw[responseReserved:responseReport]) {
		return false
	}
	status, size := binary.LittleEndian.Uint32(raw[responseStatus:]), binary.LittleEndian.Uint32(raw[responseSize:])
	return size == ReportSize || size == 0 && status != 0
}

func fromResponse(raw []byte) ([]byte, error) {
	switch status := binary.LittleEndian.Uint32(raw[responseStatus:]); {
	case status == statusInvalidParameters:
		return nil, fmt.Errorf("the AMD-SP has refused the request for a report: invalid parameters (status %#x)", status)
	case status == statusInvalidKey:
		return nil, fmt.Errorf("the AMD-SP has refused the request for a report: invalid key selection (status %#x)", status)
	case status != 0:
		return nil, fmt.Errorf("the AMD-SP has refused the request for a report: status %#x", status)
	case len(raw) < responseReport+ReportSize:
		return nil, fmt.Errorf("%s of %d bytes, want %d at least: it is cut short", Response, len(raw), responseReport+ReportSize)
	case !zero(raw[responseReport+ReportSize:]):
		return nil, fmt.Errorf("%s with trailing data after the report", Response)
	}
	return raw[responseReport : responseReport+ReportSize], nil
}

func fromHCL(raw []byte) ([]byte, error) {
	if len(raw) < hclRuntime {
		return nil, fmt.Errorf("%s of %d bytes, want %d at least: it is cut short", HCL, len(raw), hclRuntime)
	}
	if len(raw) >= hclHardware+4 && binary.LittleEndian.Uint32(raw[hclHardware:]) == hclTDX {
		return nil, fmt.Errorf("%s of a guest with Intel TDX, want one with AMD SEV-SNP", HCL)
	}
	return raw[hclReport:hclRuntime], nil
}

func zero(b []byte) bool { return len(bytes.TrimLeft(b, "\x00")) == 0 }
