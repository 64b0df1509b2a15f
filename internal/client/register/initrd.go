package register

import (
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/staging"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/option"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/bootconf"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// CheckInstances refuses instances of an image whose initrd cannot bring a disk under a
// key of its own. The service does not look into initrds, so nothing else would say it
// before the first boot, which fails. The conversion is nil where there is no staging
// directory.
func CheckInstances(conversion *staging.Conversion, settings *wire.InstanceSettings) error {
	switch {
	case settings == nil || settings.Mode == wire.InstancesNone:
		return nil
	case conversion == nil:
		return option.Missingf("staging", "it says which initrd the image has, and instances need the minimal one")
	case conversion.Initrd != bootconf.InitrdMinimal:
		return option.Errorf("instances", "they need the minimal initrd, and this image was converted with the initrd %q: convert it again without that", conversion.Initrd)
	}
	return nil
}
