package embed

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/google/renameio/v2"

	"github.com/snpguard-go/packer-plugin-snpguard/idblock"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/staging"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/input"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/bundle"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/strictjson"
	"github.com/snpguard-go/packer-plugin-snpguard/measure"
)

// WriteLaunchConfig puts launch-config.json into the staging directory of a
// conversion without encryption, which no service knows. An encrypted one is
// registered instead; the error then wraps staging.ErrStaging.
func WriteLaunchConfig(dir string, vcpus measure.VCPUs, policy idblock.GuestPolicy) (*bundle.LaunchConfig, error) {
	if _, err := readPlain(dir); err != nil {
		return nil, err
	}
	for _, name := range []string{staging.NameFirmware, staging.NameKernel, staging.NameInitrd} {
		head, err := input.Bounded(filepath.Join(dir, name), measure.ContainerHeadSize)
		if err == nil {
			err = measure.CheckRaw(head)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	config := &bundle.LaunchConfig{VCPUModel: vcpus.Type.Name, VCPUCount: vcpus.Count, GuestPolicy: fmt.Sprintf("%#x", uint64(policy))}
	data, err := json.MarshalIndent(config, "", "  ")
	if err != nil {
		return nil, err
	}
	return config, renameio.WriteFile(filepath.Join(dir, bundle.NameLaunchConfig), append(data, '\n'), 0o644)
}

// readPlain reads a staging directory of a conversion without encryption, as it
// was left.
func readPlain(dir string) (*staging.Conversion, error) {
	c, err := staging.Read(dir)
	if err != nil {
		return nil, err
	}
	if c.Encrypted {
		return nil, fmt.Errorf("%w without encryption: register it and take its bundle", staging.ErrStaging)
	}
	return c, c.Check(dir)
}

// stagedRelease returns what a staging directory makes a bundle of.
func stagedRelease(dir string) (*bundle.Release, error) {
	c, err := readPlain(dir)
	if err != nil {
		return nil, err
	}
	r := &bundle.Release{Image: c.ImageID, ImageName: c.OS, CreatedAt: c.CreatedAt, Simulated: c.Simulated}
	if err := readLaunchConfig(dir, r); err != nil {
		return nil, err
	}
	cmdline, err := input.Whole(filepath.Join(dir, staging.NameCmdline), maxManifest)
	if err != nil {
		return nil, err
	}
	r.Cmdline = string(cmdline)
	for name, blob := range map[string]*bundle.Blob{staging.NameFirmware: &r.Firmware, staging.NameKernel: &r.Kernel, staging.NameInitrd: &r.Initrd} {
		if *blob, err = blobOf(filepath.Join(dir, name)); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// readLaunchConfig takes the variant and the guest policy.
func readLaunchConfig(dir string, r *bundle.Release) error {
	data, err := input.Whole(filepath.Join(dir, bundle.NameLaunchConfig), maxManifest)
	if errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("%w: it has no %s; \"snpguard launch-config\" makes one", staging.ErrStaging, bundle.NameLaunchConfig)
	}
	if err != nil {
		return err
	}
	var config bundle.LaunchConfig
	if err := strictjson.Decode(data, &config); err != nil {
		return fmt.Errorf("%w: %s: %w", staging.ErrStaging, bundle.NameLaunchConfig, err)
	}
	policy, err := idblock.ParseGuestPolicy(config.GuestPolicy)
	if err != nil {
		return fmt.Errorf("%w: %s: %w", staging.ErrStaging, bundle.NameLaunchConfig, err)
	}
	r.Policy = uint64(policy)
	r.Variants = []bundle.ReleaseVariant{{VCPUs: config.VCPUCount, VCPUType: config.VCPUModel}}
	return nil
}

// blobOf describes a file as it is now. Whoever opens it later sees a change.
func blobOf(path string) (bundle.Blob, error) {
	open := func() (io.ReadCloser, error) { return os.Open(path) }
	f, err := open()
	if err != nil {
		return bundle.Blob{}, err
	}
	defer f.Close()
	b, hash := bundle.Blob{Open: open}, sha256.New()
	b.Size, err = io.Copy(hash, f)
	hash.Sum(b.SHA256[:0])
	return b, err
}
