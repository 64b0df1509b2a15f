package registry

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/seal"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/measure"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/access"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/artifact"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
)

// Names of the files of a registration.
const (
	PartFirmware     = "firmware"
	PartKernel       = "kernel"
	PartInitrd       = "initrd"
	PartCmdline      = "cmdline"
	PartUnsealingKey = "unsealing_key"
)

// Upload is a registration under way.
type Upload struct {
	registry *Registry
	permit   *access.Permit
	of       *wire.UUID // of a further release; nil for a new image
	slot     bool       // it has one
	plan     *plan
	image    *store.Image // of a further release

	parts            map[string]bool // that came
	files            map[string]*artifact.Writer
	firmware         *measure.Firmware
	cmdline          string
	unsealingKey     []byte   // as received; of a new image
	unsealingKeyHash [32]byte // of its public half
}

// UploadImage takes a place for the registration of a new image. Abort gives it back.
func (r *Registry) UploadImage(ctx context.Context, actor access.Actor) (*Upload, error) {
	return r.upload(ctx, actor, access.RegisterImage, nil)
}

// UploadRelease takes a place for the registration of a further release of an image.
// Abort gives it back.
func (r *Registry) UploadRelease(ctx context.Context, actor access.Actor, image wire.UUID) (*Upload, error) {
	return r.upload(ctx, actor, access.RegisterRelease, &image)
}

func (r *Registry) upload(ctx context.Context, actor access.Actor, op access.Operation, of *wire.UUID) (*Upload, error) {
	permit, err := r.Gate.Begin(ctx, actor, op)
	if err != nil {
		return nil, err
	}
	return &Upload{registry: r, permit: permit, of: of, parts: make(map[string]bool), files: make(map[string]*artifact.Writer)}, nil
}

// Begin takes what is said of the files, before they are on their way. The error is a
// *RefusedError, a *RegisteredError, a *NameTakenError or an *UnknownImageError, or
// wraps ErrBusy or store.ErrDeleted.
func (u *Upload) Begin(ctx context.Context, registration wire.Registration) (err error) {
	if u.of == nil {
		u.plan, err = u.registry.planImage(ctx, registration)
	} else {
		u.plan, u.image, err = u.registry.planRelease(ctx, *u.of, registration)
	}
	if err != nil {
		return err
	}
	select {
	case u.registry.slots <- struct{}{}:
		u.slot = true
		return nil
	default:
		return ErrBusy
	}
}

// planImage plans the registration of a new image.
func (r *Registry) planImage(ctx context.Context, registration wire.Registration) (*plan, error) {
	p, err := newPlan(registration, nil)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(access.CheckName(p.Name), checkLabels(p.Labels)); err != nil {
		return nil, err
	}
	// Finish finds out for certain; this is before the files are on their way.
	if image, err := r.Store.ImageByID(ctx, p.ImageID); !errors.Is(err, store.ErrNotFound) {
		return nil, orFound(err, &RegisteredError{p.ImageID, image.Name})
	}
	if err := r.Store.CheckTombstones(ctx, p.ImageID, [32]byte{}); err != nil {
		return nil, err
	}
	if other, err := r.Store.ImageByName(ctx, p.Name); !errors.Is(err, store.ErrNotFound) {
		return nil, orFound(err, &NameTakenError{p.Name, other.ID})
	}
	return p, nil
}

// orFound returns what went wrong when something was looked for that must not
// be there.
func orFound(err, found error) error {
	if err != nil {
		return err
	}
	return found
}

// planRelease plans the registration of a further release of an image.
func (r *Registry) planRelease(ctx context.Context, id wire.UUID, registration wire.Registration) (*plan, *store.Image, error) {
	image, err := r.Store.ImageByID(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil, &UnknownImageError{id}
	}
	if err != nil {
		return nil, nil, err
	}
	p, err := newPlan(registration, &image)
	switch {
	case err != nil:
		return nil, nil, err
	case p.ImageID != id:
		return nil, nil, refused("image_id is %s, but the release is for image %s", p.ImageID, id)
	case p.Name != "" && p.Name != image.Name:
		return nil, nil, refused("name: a release cannot rename its image; leave the name out")
	case len(p.Labels) > 0:
		return nil, nil, refused("labels: they belong to the image; leave them out")
	case p.Disabled:
		return nil, nil, refused("disabled: a further release unlocks nothing until it is approved; leave it out")
	}
	return p, &image, nil
}

// Abort ends an upload. What was not finished leaves nothing behind.
func (u *Upload) Abort() {
	if u.registry == nil {
		return
	}
	for part, w := range u.files {
		if err := w.Abort(); err != nil {
			u.registry.Log.Warn("upload was not removed", "part", part, "error", err)
		}
	}
	if u.slot {
		<-u.registry.slots
	}
	u.permit.End()
	*u = Upload{}
}

// Add takes a file. It reads it to its end, or up to its limit. The error is a
// *RefusedError or *TooLargeError; errors of body come back as they are.
func (u *Upload) Add(ctx context.Context, part string, body io.Reader) error {
	if u.parts[part] {
		return refused("part %s is given twice", part)
	}
	add := map[string]func(context.Context, io.Reader) error{
		PartFirmware: u.addFirmware, PartKernel: u.addKernel, PartInitrd: u.addInitrd,
		PartCmdline: u.addCmdline, PartUnsealingKey: u.addUnsealingKey,
	}[part]
	if add == nil {
		return refused("unknown part %.40q", part)
	}
	u.parts[part] = true
	return add(ctx, body)
}

// addFirmware holds the firmware in memory, since it is measured page by page.
func (u *Upload) addFirmware(ctx context.Context, body io.Reader) error {
	data, err := readSmall(PartFirmware, body, u.registry.Limits.Firmware)
	if err != nil {
		return err
	}
	if u.firmware, err = measure.ParseFirmware(data); err != nil {
		return refused("firmware: %v", err)
	}
	if _, err := u.firmware.KernelHashesGPA(); err != nil {
		return refused("firmware: %v", err)
	}
	return u.stream(ctx, PartFirmware, bytes.NewReader(data), u.registry.Limits.Firmware)
}

func (u *Upload) addKernel(ctx context.Context, body io.Reader) error {
	return u.streamRaw(ctx, PartKernel, body, u.registry.Limits.Kernel)
}

func (u *Upload) addInitrd(ctx context.Context, body io.Reader) error {
	return u.streamRaw(ctx, PartInitrd, body, u.registry.Limits.Initrd)
}

// streamRaw writes a file to the artifacts that is measured as it is, and refuses
// a disk image in its place.
func (u *Upload) streamRaw(ctx context.Context, part string, body io.Reader, limit int64) error {
	raw, err := measure.RawReader(body)
	if errors.Is(err, measure.ErrContainer) {
		return refused("%s: %v", part, err)
	}
	if err != nil {
		return err
	}
	return u.stream(ctx, part, raw, limit)
}

// stream writes a file to the artifacts.
func (u *Upload) stream(ctx context.Context, part string, body io.Reader, limit int64) error {
	w, err := u.registry.Artifacts.Create(ctx, limit)
	if err != nil {
		return fmt.Errorf("store %s: %w", part, err)
	}
	u.files[part] = w
	n, err := io.Copy(w, io.LimitReader(body, limit))
	if err != nil {
		return fmt.Errorf("store %s: %w", part, err)
	}
	if n == limit {
		if more, err := io.CopyN(io.Discard, body, 1); more > 0 {
			return &TooLargeError{part, limit}
		} else if !errors.Is(err, io.EOF) {
			return fmt.Errorf("store %s: %w", part, err)
		}
	}
	if n == 0 {
		return refused("part %s is empty", part)
	}
	return nil
}

// addCmdline takes the command line as it is measured. One newline at the end
// of the file does not belong to it.
func (u *Upload) addCmdline(_ context.Context, body io.Reader) error {
	data, err := readSmall(PartCmdline, body, maxCmdline+1)
	if err != nil {
		return err
	}
	u.cmdline = strings.TrimSuffix(string(data), "\n")
	switch {
	case len(u.cmdline) > maxCmdline:
		return &TooLargeError{PartCmdline, maxCmdline}
	case !utf8.ValidString(u.cmdline) || strings.ContainsFunc(u.cmdline, unicode.IsControl):
		return refused("cmdline: want one line of text without control characters")
	}
	return nil
}

// addUnsealingKey takes a key that only this service can open, for this image. An
// image has one for good: with a further release it need not come, nor may another.
func (u *Upload) addUnsealingKey(ctx context.Context, body io.Reader) error {
	sealed, err := readSmall(PartUnsealingKey, body, wire.SealedUnsealingKeySize)
	if err != nil {
		return err
	}
	image := u.plan.ImageID
	key, err := u.registry.Ingestion.Open(wire.UnsealingKeyInfo(image), sealed)
	if err != nil {
		return refused("unsealing_key: it was not sealed to the ingestion key of this service for image %s; "+
			"convert the image with this service's ingestion key", image)
	}
	defer clear(key)
	private, err := seal.ParsePrivateKey(key)
	if err != nil {
		return refused("unsealing_key: its content is not an HPKE private key")
	}
	u.unsealingKey, u.unsealingKeyHash = sealed, sha256.Sum256(private.Public().Bytes())
	if u.image == nil {
		return u.registry.Store.CheckTombstones(ctx, image, u.unsealingKeyHash)
	}
	if u.unsealingKeyHash != u.image.UnsealingKeyHash {
		return refused("unsealing_key: it is not the key that the disks of image %s are sealed with; a release must come from the same conversion as its image", image)
	}
	return nil
}

// noBytes is an empty file.
type noBytes struct{}

// Read implements io.Reader.
func (noBytes) Read([]byte) (int, error) { return 0, io.EOF }

func readSmall(part string, body io.Reader, limit int64) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(body, limit+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", part, err)
	}
	if int64(len(data)) > limit {
		return nil, &TooLargeError{part, limit}
	}
	return data, nil
}
