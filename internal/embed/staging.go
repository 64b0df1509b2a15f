package embed

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/google/renameio/v2"

	"github.com/snpguard-go/packer-plugin-snpguard/idblock"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/bundle"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/staging"
	"github.com/snpguard-go/packer-plugin-snpguard/measure"
)

// WriteLaunchConfig puts launch-config.json into the staging directory of a
// conversion without encryption, which no service knows. An encrypted one is
// registered instead; the error then wraps staging.ErrStaging.
func WriteLaunchConfig(dir string, vcpus measure.VCPUs, policy idblock.GuestPolicy) (*bundle.LaunchConfig, error) {
	if err := checkPlain(dir); err != nil {
		return nil, err
	}
	config := &bundle.LaunchConfig{VCPUModel: vcpus.Type.Name, VCPUCount: vcpus.Count, GuestPolicy: fmt.Sprintf("%#x", uint64(policy))}
	data, err := json.MarshalIndent(config, "", "  ")
	if err != nil {
		return nil, err
	}
	return config, renameio.WriteFile(filepath.Join(dir, bundle.NameLaunchConfig), append(data, '\n'), 0o644)
}

// checkPlain wants a staging directory of a conversion without encryption, as it
// was left.
func checkPlain(dir string) error {
	c, err := staging.Read(dir)
	if err != nil {
		return err
	}
	if c.Encrypted {
		return fmt.Errorf("%w without encryption: register it and take its bundle", staging.ErrStaging)
	}
	return c.Check(dir)
}

// plainFiles are what a slot holds of a conversion without encryption.
func plainFiles() []string {
	return []string{staging.NameFirmware, staging.NameKernel, staging.NameInitrd, staging.NameCmdline, bundle.NameLaunchConfig, staging.NameConversion}
}

// fillStaging copies the files of a staging directory.
func fillStaging(dir, from string) error {
	if err := checkPlain(from); err != nil {
		return err
	}
	for _, name := range plainFiles() {
		in, err := os.Open(filepath.Join(from, name))
		if errors.Is(err, os.ErrNotExist) && name == bundle.NameLaunchConfig {
			return fmt.Errorf("%w: it has no %s; \"snpguard launch-config\" makes one", staging.ErrStaging, name)
		}
		if err != nil {
			return err
		}
		err = copyFile(filepath.Join(dir, name), in)
		in.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

func copyFile(path string, r io.Reader) error {
	out, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, r)
	return errors.Join(err, out.Close())
}
