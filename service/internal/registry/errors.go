package registry

import (
	"errors"
	"fmt"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/size"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
)

// ErrBusy means that as many uploads as the service takes are
// under way.
var ErrBusy = errors.New("too many uploads at once")

// RefusedError is a request that was understood but cannot be carried out. The
// reason is for the one who sent it.
type RefusedError struct{ Reason string }

// Error returns the reason.
func (e *RefusedError) Error() string { return e.Reason }

func refused(format string, args ...any) error {
	return &RefusedError{fmt.Sprintf(format, args...)}
}

// TooLargeError is a file that exceeds its limit.
type TooLargeError struct {
	Part  string
	Limit int64 // bytes
}

// Error names the part and the limit.
func (e *TooLargeError) Error() string {
	return fmt.Sprintf("part %s is larger than %s", e.Part, size.Text(e.Limit))
}

// UnknownImageError is an image of which a release was to be added, and which is not
// registered. It wraps store.ErrNotFound.
type UnknownImageError struct{ ID wire.UUID }

// Error says why there may be none, and what can be done.
func (e *UnknownImageError) Error() string {
	return fmt.Sprintf("image %s is not registered here. Every conversion creates a new image with a new ID: "+
		"register it as a new image, under a new name, and not as a release of another one", e.ID)
}

// Unwrap returns store.ErrNotFound.
func (e *UnknownImageError) Unwrap() error { return store.ErrNotFound }

// SameReleaseError is a release that its image has already. It wraps
// store.ErrExists.
type SameReleaseError struct{ ID wire.UUID }

// Error says which release it is.
func (e *SameReleaseError) Error() string {
	return fmt.Sprintf("release %s of this image already has this content and policy: nothing was added", e.ID)
}

// Unwrap returns store.ErrExists.
func (e *SameReleaseError) Unwrap() error { return store.ErrExists }

// RegisteredError is an image that is registered already, told by its ID. It wraps
// store.ErrExists.
type RegisteredError struct {
	ID   wire.UUID
	Name string // under which it is registered
}

// Error says which image it is and what can be done.
func (e *RegisteredError) Error() string {
	return fmt.Sprintf("image %s is already registered, as %q: add a release to it, or convert the source again to get a new ID", e.ID, e.Name)
}

// Unwrap returns store.ErrExists.
func (e *RegisteredError) Unwrap() error { return store.ErrExists }

// NameTakenError is a new image under the name of another one. It wraps
// store.ErrNameTaken.
type NameTakenError struct {
	Name string
	ID   wire.UUID // of the image that has it
}

// Error says what can be done, each without harm to the image that has the name.
func (e *NameTakenError) Error() string {
	return fmt.Sprintf("the name %q belongs to image %s, and every conversion makes a new image. "+
		"Register this one under another name, and name a channel where the newest is wanted (\"snpguard channel set\"). "+
		"What boots the disk of image %[2]s is added to it as a release: \"snpguard register --add-release\", add_release in Packer", e.Name, e.ID)
}

// Unwrap returns store.ErrNameTaken.
func (e *NameTakenError) Unwrap() error { return store.ErrNameTaken }
