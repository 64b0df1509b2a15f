// Package convert turns a stock cloud image into one for confidential VMs: it
// puts the parts of internal/image/disk, internal/image/rootfs, internal/image/kmod and
// internal/image/initrd together, in the order of docs/architecture.md.
//
// Convert does it, Inspect says what an image is. Neither needs root rights, a
// network or KVM. Source images are hostile. The volume key is in memory alone
// and is wiped before Convert returns.
package convert

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/qemu"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/staging"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/option"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/bootconf"
)

// errInterrupted is a conversion whose context has ended.
var errInterrupted = errors.New("interrupted")

// conversion is one run.
type conversion struct {
	*Options
	*settings
	work   *workspace // beside the output
	stage  *workspace // beside the staging directory
	record staging.Conversion
}

// Convert makes the image and the staging directory that the options ask for, or
// nothing at all. The error joins *option.Error where options are at fault, and is
// errInterrupted when the context has ended; with KeepOnFailure it names the directories
// that are left.
func Convert(ctx context.Context, o *Options) (*staging.Conversion, error) {
	s, err := o.check()
	if err != nil {
		return nil, err
	}
	own := *o
	c := &conversion{Options: &own, settings: s}
	if c.Events == nil {
		c.Events = silent{}
	}
	c.Events = &inTurn{to: c.Events}
	if c.NoEncryption {
		c.Initrd = bootconf.InitrdDistribution // as it is, and without an agent
	}
	c.record = staging.Conversion{
		Format: staging.Format, Version: o.Version, CreatedAt: time.Now().UTC().Truncate(time.Second),
		Encrypted: !o.NoEncryption, Simulated: o.Simulate && !o.NoEncryption,
		Initrd: c.Initrd, OptionalModules: o.OptionalModules,
		Services: []string{}, Recovery: []string{}, Edits: []string{}, Findings: []staging.Finding{}, Modules: []string{},
	}
	if err = c.open(); err == nil {
		err = c.run(ctx)
	}
	if err != nil && ctx.Err() != nil {
		err = fmt.Errorf("%w: no image was made", errInterrupted)
	}
	if err = errors.Join(err, c.close(err)); err != nil {
		return nil, err
	}
	return &c.record, nil
}

// open makes the places to work in.
func (c *conversion) open() error {
	for _, path := range []*string{&c.Input, &c.Output, &c.Staging, &c.Firmware} {
		absolute, err := filepath.Abs(*path)
		if err != nil {
			return err
		}
		*path = absolute
	}
	var err error
	if c.work, err = openWorkspace(c.Output); err != nil {
		return option.Wrap("out", err)
	}
	if c.stage, err = openWorkspace(c.Staging); err != nil {
		return option.Wrap("staging", err)
	}
	return os.Mkdir(c.staged(), 0o755)
}

// staged is where the staging directory grows.
func (c *conversion) staged() string { return c.stage.path("staging") }

// image is where the output grows.
func (c *conversion) image() string { return c.work.path("image") }

// close removes what was worked with, or keeps it when a failure is to be looked
// at.
func (c *conversion) close(failure error) error {
	var problems []error
	for _, w := range []*workspace{c.work, c.stage} {
		switch {
		case w == nil:
		case failure != nil && c.KeepOnFailure:
			problems = append(problems, fmt.Errorf("kept %s, which holds the source's files in clear", w.keep()))
		default:
			problems = append(problems, w.close())
		}
	}
	return errors.Join(problems...)
}

// run does the steps.
func (c *conversion) run(ctx context.Context) error {
	c.Events.Step("Read " + c.Input)
	image, err := unpack(ctx, c.Input, c.work.path("source"), c.Events)
	if err != nil {
		return fmt.Errorf("%s: %w", c.Input, err)
	}
	s, err := c.openSource(ctx, image)
	if errors.Is(err, qemu.ErrImage) && image.how == "" {
		return err // names the file
	}
	if err != nil {
		return fmt.Errorf("%s: %w", c.Input, err)
	}
	defer s.close()
	group, both := errgroup.WithContext(ctx)
	group.Go(func() error {
		sum, err := hashFile(both, c.Input)
		c.record.Source.SHA256 = sum
		return err
	})
	group.Go(func() error { return c.convert(both, s) })
	if err := group.Wait(); err != nil {
		return err
	}
	// It was read in several passes, which have to have seen the same.
	if err := s.image.Unchanged(); err != nil {
		return err
	}
	if err := c.record.Write(c.staged()); err != nil {
		return fmt.Errorf("write %s: %w", staging.NameConversion, err)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	c.Events.Step("Write " + c.Output)
	return c.publish()
}

// convert makes the image and the staging directory of an open source.
func (c *conversion) convert(ctx context.Context, s *source) error {
	sys, err := c.openSystem(ctx, s)
	if err != nil {
		return err
	}
	defer sys.close()
	if err := c.scan(ctx, s, sys); err != nil {
		return fmt.Errorf("%s: %w", c.Input, err)
	}
	if c.NoEncryption {
		return c.copyPlain(ctx, s, sys)
	}
	return c.encrypt(ctx, s, sys)
}
