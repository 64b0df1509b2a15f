package wire

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
)

// Paths of the calls of a running guest.
const (
	PathUpdate  = "/v1/attestation/update"
	PathConfirm = "/v1/attestation/confirm"
	PathBundle  = "/v1/attestation/bundle"
)

// Bounds of the calls of a running guest.
const (
	MaxKernels       = 32      // kernels that a guest names
	MaxKernelRelease = 64      // bytes of a kernel's release, as uname -r has it
	MaxCallBody      = 8 << 10 // bytes of GuestCall.Body and of GuestAnswer.Body
	MaxGuestCall     = 128 << 10
	TicketSize       = 72
)

// GuestCall is what a running guest asks: a body, and a report that binds it (CallBinding).
type GuestCall struct {
	Report       []byte `json:"report"`                 // 1184 bytes
	Certificates []byte `json:"certificates,omitempty"` // table of the extended report, when the host gave one
	Nonce        []byte `json:"nonce"`                  // NonceSize bytes
	Body         []byte `json:"body"`                   // JSON of the call, as it was hashed; 1 to MaxCallBody bytes

	// BootSignature is Ed25519 by the boot key over BootCallTranscript, 64 bytes: of every
	// call of an instance, and of no other.
	BootSignature []byte `json:"boot_signature,omitempty"`
}

// Validate checks the sizes. The error wraps ErrShape.
func (c *GuestCall) Validate() error {
	if len(c.BootSignature) != 0 {
		return cmp.Or(c.validate(MaxCallBody), checkSize("boot_signature", c.BootSignature, 64))
	}
	return c.validate(MaxCallBody)
}

func (c *GuestCall) validate(maxBody int) error {
	if len(c.Certificates) > MaxCertificates {
		return fmt.Errorf("%w: certificates have %d bytes, at most %d are taken", ErrShape, len(c.Certificates), MaxCertificates)
	}
	return cmp.Or(
		checkSize("report", c.Report, reportSize),
		checkSize("nonce", c.Nonce, NonceSize),
		checkBody(c.Body, maxBody),
	)
}

// GuestAnswer answers a GuestCall.
type GuestAnswer struct {
	Body      []byte `json:"body"`      // JSON of the answer, as it was signed; 1 to MaxCallBody bytes
	Signature []byte `json:"signature"` // Ed25519 over AnswerTranscript, 64 bytes
}

// Validate checks the sizes. The error wraps ErrShape.
func (a *GuestAnswer) Validate() error {
	return cmp.Or(checkBody(a.Body, MaxCallBody), checkSize("signature", a.Signature, 64))
}

func checkBody(body []byte, limit int) error {
	if len(body) == 0 || len(body) > limit {
		return fmt.Errorf("%w: body has %d bytes, want 1 to %d", ErrShape, len(body), limit)
	}
	return nil
}

// UpdateRequest is the body of the call to PathUpdate. Which release the guest runs is
// in the report.
type UpdateRequest struct {
	Machine UUID              `json:"machine"`         // MachineID
	Running string            `json:"running"`         // release of the running kernel
	Kernels []InstalledKernel `json:"kernels"`         // MaxKernels at most
	Failed  UUID              `json:"failed,omitzero"` // a release that was tried and did not come up
}

// InstalledKernel is a kernel in a guest's file system.
type InstalledKernel struct {
	Release string `json:"release"` // such as "6.12.57+deb13-cloud-amd64"
	SHA256  string `json:"sha256"`  // of its file, 64 hexadecimal digits
	Modules bool   `json:"modules"` // its modules are installed too
}

// Validate checks every field. The error wraps ErrShape.
func (r *UpdateRequest) Validate() error {
	if r.Machine.IsZero() {
		return fmt.Errorf("%w: machine is zero", ErrShape)
	}
	if len(r.Kernels) > MaxKernels {
		return fmt.Errorf("%w: %d kernels, at most %d are taken", ErrShape, len(r.Kernels), MaxKernels)
	}
	if err := CheckKernelRelease(r.Running); err != nil {
		return fmt.Errorf("running: %w", err)
	}
	for i := range r.Kernels {
		if err := r.Kernels[i].validate(); err != nil {
			return fmt.Errorf("kernel %d: %w", i+1, err)
		}
	}
	return nil
}

func (k *InstalledKernel) validate() error {
	if len(k.SHA256) != 64 || strings.Trim(k.SHA256, "0123456789abcdef") != "" {
		return fmt.Errorf("%w: sha256 is not 64 hexadecimal digits in lower case", ErrShape)
	}
	return CheckKernelRelease(k.Release)
}

// CheckKernelRelease wants the release of a kernel, as uname -r and the names of its
// files have it: letters, digits and "+-._~", no dot first. The error wraps ErrShape.
func CheckKernelRelease(release string) error {
	const others = "+-._~"
	strange := func(c rune) bool {
		return (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && !strings.ContainsRune(others, c)
	}
	if release == "" || len(release) > MaxKernelRelease || release[0] == '.' || strings.ContainsFunc(release, strange) {
		return fmt.Errorf("%w: %.80q is not the release of a kernel", ErrShape, release)
	}
	return nil
}

// States of a guest that asks for an update.
const (
	UpdateNone      = "up_to_date"
	UpdateAvailable = "available"
	UpdateWaiting   = "waiting" // newer kernels are installed that no release has
)

// UpdateAnswer is the answer's body of the call to PathUpdate.
type UpdateAnswer struct {
	State     string            `json:"state"`
	Available *AvailableRelease `json:"available,omitempty"` // with UpdateAvailable alone
	Waiting   []string          `json:"waiting,omitempty"`   // releases of kernels
}

// AvailableRelease is a release that a guest can change to.
type AvailableRelease struct {
	Release UUID   `json:"release"`
	Kernel  string `json:"kernel"`        // its kernel's release, as the guest named it
	SHA256  string `json:"kernel_sha256"` // of its kernel's file, 64 hexadecimal digits
	Size    int64  `json:"size"`          // of its files in bytes, about
	Ticket  []byte `json:"ticket"`        // for PathBundle, TicketSize bytes
}

// Validate checks every field. The error wraps ErrShape.
func (a *UpdateAnswer) Validate() error {
	for _, release := range a.Waiting {
		if err := CheckKernelRelease(release); err != nil {
			return err
		}
	}
	switch {
	case len(a.Waiting) > MaxKernels:
		return fmt.Errorf("%w: %d kernels wait, at most %d can", ErrShape, len(a.Waiting), MaxKernels)
	case (a.State == UpdateAvailable) != (a.Available != nil):
		return fmt.Errorf("%w: state %.20q, and a release: %t", ErrShape, a.State, a.Available != nil)
	case a.State == UpdateAvailable:
		return a.Available.validate()
	case a.State != UpdateNone && a.State != UpdateWaiting:
		return fmt.Errorf("%w: unknown state %.20q", ErrShape, a.State)
	}
	return nil
}

func (a *AvailableRelease) validate() error {
	kernel := InstalledKernel{Release: a.Kernel, SHA256: a.SHA256}
	var size, release error
	if a.Size <= 0 {
		size = fmt.Errorf("%w: size is %d", ErrShape, a.Size)
	}
	if a.Release.IsZero() {
		release = fmt.Errorf("%w: release is zero", ErrShape)
	}
	return cmp.Or(release, kernel.validate(), size, checkSize("ticket", a.Ticket, TicketSize))
}

// ConfirmRequest is the body of the call to PathConfirm: the system has booted
// completely. Which release did is in the report, and nowhere else.
type ConfirmRequest struct {
	Machine UUID `json:"machine"` // MachineID
}

// Validate checks the field. The error wraps ErrShape.
func (r *ConfirmRequest) Validate() error {
	if r.Machine.IsZero() {
		return fmt.Errorf("%w: machine is zero", ErrShape)
	}
	return nil
}

// ConfirmAnswer is the answer's body of the call to PathConfirm.
type ConfirmAnswer struct {
	Release UUID `json:"release"` // that was confirmed, by the report
}

// Validate checks the field. The error wraps ErrShape.
func (a *ConfirmAnswer) Validate() error {
	if a.Release.IsZero() {
		return fmt.Errorf("%w: release is zero", ErrShape)
	}
	return nil
}

// BundleRequest is the body of POST PathBundle, which answers with the launch bundle
// as tar.
type BundleRequest struct {
	Ticket []byte `json:"ticket"` // of an UpdateAnswer
}

// Validate checks the size. The error wraps ErrShape.
func (r *BundleRequest) Validate() error { return checkSize("ticket", r.Ticket, TicketSize) }

// errNoMachine is a machine-id that is none.
var errNoMachine = errors.New("machine-id is not 32 hexadecimal digits")

// ParseMachineID reads /etc/machine-id (machine-id(5)).
func ParseMachineID(text string) (string, error) {
	id := strings.TrimSuffix(text, "\n")
	if len(id) != 32 || strings.Trim(id, "0123456789abcdef") != "" {
		return "", errNoMachine
	}
	return id, nil
}
