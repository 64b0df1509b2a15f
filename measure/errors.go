package measure

import "errors"

// Errors of [ParseFirmware] and [New]. The returned errors wrap them and say
// which value was found.
var (
	// ErrFirmwareSize: not a whole number of pages, empty, or larger than
	// MaxFirmwareSize.
	ErrFirmwareSize = errors.New("firmware size is wrong")

	// ErrContainer: a disk image, such as qcow2, where the raw bytes of a
	// firmware, kernel or initrd are wanted.
	ErrContainer = errors.New("not raw bytes")

	// ErrNoFooter: no OVMF footer table 32 bytes before the end of the file,
	// so this is not an OVMF build for X64, or not its code part.
	ErrNoFooter = errors.New("no OVMF footer table")

	// ErrBadFooter: the footer table or one of its entries is malformed.
	ErrBadFooter = errors.New("malformed OVMF footer table")

	// ErrNoMetadata: the firmware carries no SNP metadata, so it cannot start
	// an SEV-SNP guest.
	ErrNoMetadata = errors.New("no SNP metadata")

	// ErrBadMetadata: the SNP metadata is malformed, or its sections overlap
	// or lie out of range.
	ErrBadMetadata = errors.New("malformed SNP metadata")

	// ErrUnknownSection: a section has a type that this version does not
	// know, so its pages cannot be measured.
	ErrUnknownSection = errors.New("unknown SNP metadata section type")

	// ErrNoResetVector: no SEV-ES reset block, so the start address of the
	// application processors is not known.
	ErrNoResetVector = errors.New("no SEV-ES reset block")

	// ErrNoKernelHashes: a kernel was given, but the firmware would not check
	// its hash.
	ErrNoKernelHashes = errors.New("firmware does not measure a kernel")

	// ErrConfig: the options contradict each other.
	ErrConfig = errors.New("invalid launch configuration")

	// ErrVCPUs: the count or the type of the vCPUs is not one that can be
	// launched.
	ErrVCPUs = errors.New("invalid vCPUs")
)
