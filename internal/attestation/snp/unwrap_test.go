package snp_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"regexp"
	"strings"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/snp"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/testing/vectors"
)

// response is what SNP_GET_REPORT fills in.
func response(status, size byte, report []byte) []byte {
	b := make([]byte, 4000)
	b[0] = status
	if size != 0 {
		b[4], b[5] = size, 0x04
	}
	copy(b[0x20:], report)
	return b
}

// hcl is what NV index 0x01400001 of Azure's vTPM holds; hardware is 2 for SEV-SNP.
func hcl(hardware byte, report []byte) []byte {
	b := make([]byte, 2600)
	copy(b, "HCLA\x02\x00\x00\x00\xa0\x04\x00\x00\x02\x00\x00\x00")
	copy(b[0x20:], report)
	b[0x20+snp.ReportSize+4], b[0x20+snp.ReportSize+8] = 1, hardware
	copy(b[0x20+snp.ReportSize+20:], `{"keys":[]}`)
	return b
}

// wrapped are the forms of a report.
func wrapped(report []byte) map[snp.Form][]byte {
	return map[snp.Form][]byte{
		snp.Bare:                            report,
		snp.Hex:                             []byte(hex.EncodeToString(report)),
		snp.Base64:                          []byte(base64.StdEncoding.EncodeToString(report)),
		snp.Response:                        response(0, 0xa0, report),
		snp.HCL:                             hcl(2, report),
		snp.HCL + ", as " + snp.Base64:      []byte(base64.URLEncoding.EncodeToString(hcl(2, report)) + "\n"),
		snp.Response + ", as " + snp.Hex:    []byte(hex.EncodeToString(response(0, 0xa0, report))),
		snp.HCL + ", as " + snp.Hex:         []byte("0x" + strings.ToUpper(hex.EncodeToString(hcl(0, report)))),
		snp.Response + ", as " + snp.Base64: []byte(base64.RawURLEncoding.EncodeToString(response(0, 0xa0, report))),
	}
}

func TestUnwrap(t *testing.T) {
	for _, name := range []string{reportV2, reportV3, reportV5} {
		report := vectors.MustRead(t, name)
		for want, data := range wrapped(report) {
			got, form, err := snp.Unwrap(data)
			if err != nil || form != want || !bytes.Equal(got, report) {
				t.Errorf("%s, %q: got form %q, %v", name, want, form, err)
			}
		}
	}
	// As xxd -p and base64 break lines.
	report := vectors.MustRead(t, reportV3)
	lines := func(text string) []byte {
		return regexp.MustCompile(`.{60}`).ReplaceAll([]byte(text), []byte("$0\r\n"))
	}
	for want, data := range map[snp.Form][]byte{
		snp.Hex: lines(hex.EncodeToString(report)), snp.Base64: lines(base64.StdEncoding.EncodeToString(report)),
	} {
		if got, form, err := snp.Unwrap(data); err != nil || form != want || !bytes.Equal(got, report) {
			t.Errorf("%s in lines: got form %q, %v", want, form, err)
		}
	}
	extended := append(bytes.Clone(report), (&snp.CertTable{VCEK: []byte("certificate")}).Bytes()...)
	if got, _, err := snp.Unwrap([]byte(hex.EncodeToString(extended))); err != nil || !bytes.Equal(got, extended) {
		t.Errorf("extended: %v", err)
	}
}

func TestUnwrapRefuses(t *testing.T) {
	report := vectors.MustRead(t, reportV3)
	behind := response(0, 0xa0, report)
	behind[3999] = 1
	for name, tc := range map[string]struct {
		data []byte
		says string
	}{
		"text":                  {[]byte(`{"report": 1}`), "neither hexadecimal digits nor base64"},
		"a digit too few":       {[]byte(hex.EncodeToString(report))[1:], "odd number"},
		"another sign":          {[]byte(hex.EncodeToString(report) + "!"), "neither"},
		"a refusal":             {response(0x16, 0, nil), "invalid parameters (status 0x16)"},
		"a refusal with a size": {response(0x16, 0xa0, nil), "invalid parameters (status 0x16)"},
		"another key":           {response(0x27, 0, nil), "invalid key selection"},
		"another refusal":       {response(0x99, 0, nil), "status 0x99"},
		"a short response":      {response(0, 0xa0, report)[:1000], "cut short"},
		"more in a response":    {behind, "trailing data after the report"},
		"a short HCL report":    {hcl(2, report)[:1000], "cut short"},
		"Intel TDX":             {hcl(4, report), "Intel TDX"},
	} {
		if _, _, err := snp.Unwrap(tc.data); !errors.Is(err, snp.ErrReportFormat) || !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%s: got %v, want one that says %q", name, err, tc.says)
		}
	}
}

func FuzzUnwrap(f *testing.F) {
	for _, data := range wrapped(vectors.MustRead(f, reportV3)) {
		f.Add(data)
	}
	f.Add(response(0x16, 0, nil))
	f.Add(hcl(4, nil))
	f.Add([]byte("0x0"))
	f.Fuzz(func(t *testing.T, data []byte) {
		got, _, err := snp.Unwrap(data)
		if err != nil {
			if !errors.Is(err, snp.ErrReportFormat) || got != nil {
				t.Errorf("%d bytes with %v", len(got), err)
			}
			return
		}
		if len(got) > len(data) {
			t.Errorf("%d bytes out of %d", len(got), len(data))
		}
		// What can be read as it is stays as it is.
		if _, _, err := snp.SplitExtended(data); err == nil && !bytes.Equal(got, data) {
			t.Error("a report was changed")
		}
	})
}
