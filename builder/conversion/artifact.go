package conversion

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/convert"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/staging"
)

// BuilderID names what made the artifact.
const BuilderID = "snpguard.conversion"

// What an artifact's State knows, all of it text or a bool, and none of it
// secret.
const (
	StateImage     = "image"     // path of the disk image
	StateStaging   = "staging"   // path of the staging directory
	StateImageID   = "image_id"  // UUID
	StateFormat    = "format"    // of the disk image
	StateKernel    = "kernel"    // version
	StateCmdline   = "cmdline"   // as it is measured
	StateEncrypted = "encrypted" // a bool
	StateSimulated = "simulated" // a bool

	// StateKeep answers true and makes Destroy leave the files. Packer destroys
	// the artifact of a builder when the post-processor behind it fails: one that
	// fails to register asks for this, so that nothing has to be converted again.
	StateKeep = "snpguard.keep"
)

// States returns what State knows, but for StateKeep.
func States() []string {
	return []string{StateImage, StateStaging, StateImageID, StateFormat, StateKernel, StateCmdline, StateEncrypted, StateSimulated}
}

// Artifact is a converted image with its staging directory.
type Artifact struct {
	image, staging string
	conversion     *staging.Conversion
	files          []string
	keep           atomic.Bool
}

func newArtifact(o *convert.Options, c *staging.Conversion) *Artifact {
	a := &Artifact{image: o.Output, staging: o.Staging, conversion: c, files: []string{o.Output}}
	for name := range c.Files {
		a.files = append(a.files, filepath.Join(o.Staging, name))
	}
	a.files = append(a.files, filepath.Join(o.Staging, staging.NameConversion))
	slices.Sort(a.files[1:])
	return a
}

// BuilderId implements packer.Artifact.
func (a *Artifact) BuilderId() string { return BuilderID } //nolint:revive // the SDK's name

// Files implements packer.Artifact: the disk image first, then all of the staging
// directory.
func (a *Artifact) Files() []string { return a.files }

// Id implements packer.Artifact: the UUID of the image.
func (a *Artifact) Id() string { return a.conversion.ImageID.String() } //nolint:revive // the SDK's name

// String implements packer.Artifact.
func (a *Artifact) String() string {
	text := fmt.Sprintf("confidential image %s: %s, to be registered from %s", a.Id(), a.image, a.staging)
	switch {
	case a.conversion.Simulated:
		text += " (SIMULATED: not protected)"
	case !a.conversion.Encrypted:
		text += " (NOT ENCRYPTED)"
	}
	return text
}

// State implements packer.Artifact.
func (a *Artifact) State(name string) any {
	switch name {
	case StateImage:
		return a.image
	case StateStaging:
		return a.staging
	case StateImageID:
		return a.Id()
	case StateFormat:
		return a.conversion.Disk.Format
	case StateKernel:
		return a.conversion.Kernel
	case StateCmdline:
		return a.conversion.Cmdline
	case StateEncrypted:
		return a.conversion.Encrypted
	case StateSimulated:
		return a.conversion.Simulated
	case StateKeep:
		a.keep.Store(true)
		return true
	}
	return nil
}

// Destroy implements packer.Artifact: it removes the files, and directories that
// are empty then.
func (a *Artifact) Destroy() error {
	if a.keep.Load() {
		return nil
	}
	var problems []error
	for _, path := range a.files {
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			problems = append(problems, err)
		}
	}
	for _, dir := range []string{a.staging, filepath.Dir(a.image)} {
		os.Remove(dir) //nolint:errcheck // it stays when there is more in it
	}
	return errors.Join(problems...)
}
