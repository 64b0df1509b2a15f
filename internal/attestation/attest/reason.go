package attest

import "strings"

// Reason says why a report is not genuine. The values are stable codes for
// machines; callers branch on them with errors.Is.
type Reason string

// What can be wrong with the certificates.
const (
	ReasonNoCertificate        Reason = "no_certificate"
	ReasonCertificateFormat    Reason = "certificate_format"
	ReasonCertificateKey       Reason = "certificate_key"
	ReasonCertificateName      Reason = "certificate_name"
	ReasonCertificateUsage     Reason = "certificate_usage"
	ReasonCertificateSignature Reason = "certificate_signature"
	ReasonCertificateTime      Reason = "certificate_time"
	ReasonRoot                 Reason = "root_not_trusted"
	ReasonRevoked              Reason = "certificate_revoked" // given by callers that ask internal/attestation/kds
)

// What can be wrong with the report, or between it and its certificate.
const (
	ReasonReportFormat   Reason = "report_format"
	ReasonChipKeyMasked  Reason = "chip_key_masked"
	ReasonSigningKey     Reason = "signing_key"
	ReasonProduct        Reason = "product"
	ReasonChipIDMasked   Reason = "chip_id_masked"
	ReasonChipID         Reason = "chip_id"
	ReasonTCB            Reason = "tcb"
	ReasonTCBReserved    Reason = "tcb_reserved"
	ReasonSignatureRange Reason = "signature_range"
	ReasonSignature      Reason = "signature"
)

// Error returns the reason as a sentence.
func (r Reason) Error() string {
	switch r {
	case ReasonNoCertificate:
		return "there is no certificate of the key that signed the report"
	case ReasonCertificateFormat:
		return "a certificate is malformed"
	case ReasonCertificateKey:
		return "a certificate has a key of the wrong kind"
	case ReasonCertificateName:
		return "a certificate has the wrong name for its place in the chain"
	case ReasonCertificateUsage:
		return "a certificate may not be used for its place in the chain"
	case ReasonCertificateSignature:
		return "a certificate is not signed by the one above it"
	case ReasonCertificateTime:
		return "a certificate is not valid at this time"
	case ReasonRoot:
		return "the chain does not end at a trusted root"
	case ReasonRevoked:
		return "AMD revoked a certificate"
	case ReasonReportFormat:
		return "it is not an attestation report"
	case ReasonChipKeyMasked:
		return "the host masked the chip key, so the report is not signed"
	case ReasonSigningKey:
		return "the report is signed with another kind of key than the certificate's"
	case ReasonProduct:
		return "report and certificates are of different products"
	case ReasonChipIDMasked:
		return "the host masked the chip ID, so the report belongs to no VCEK"
	case ReasonChipID:
		return "the report is of another chip than the certificate"
	case ReasonTCB:
		return "the report has another TCB than the certificate"
	case ReasonTCBReserved:
		return "reserved parts of a TCB version are not zero"
	case ReasonSignatureRange:
		return "the signature's numbers are out of range"
	case ReasonSignature:
		return "the signature is wrong"
	}
	return string(r)
}

// Refusal is the error of a report that is not genuine.
type Refusal struct {
	Reason          Reason
	Subject         string // what it is about, such as "ASK" or "CHIP_ID"; may be empty
	Expected, Found string // may be empty
	Err             error  // what an inner parser said, or nil
}

// Error returns the reason with its details in one line. Bytes that came from
// outside are quoted.
func (r *Refusal) Error() string {
	var b strings.Builder
	b.WriteString(r.Reason.Error())
	for _, part := range []struct{ prefix, text string }{{": ", r.Subject}, {": found ", r.Found}, {", want ", r.Expected}} {
		if part.text != "" {
			b.WriteString(part.prefix + part.text)
		}
	}
	if r.Err != nil {
		b.WriteString(": " + r.Err.Error())
	}
	return b.String()
}

// Unwrap returns the reason and the inner error.
func (r *Refusal) Unwrap() []error {
	if r.Err == nil {
		return []error{r.Reason}
	}
	return []error{r.Reason, r.Err}
}
