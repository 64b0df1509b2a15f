package registry

import (
	"cmp"
	"fmt"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// instanceSettings checks what is said of an image's instances, with what counts where
// nothing is said. The error is a *RefusedError.
func instanceSettings(s wire.InstanceSettings) (wire.InstanceSettings, error) {
	s.Generation = cmp.Or(s.Generation, wire.GenerationReport)
	switch {
	case s.Mode != wire.InstancesNone && s.Mode != wire.InstancesNamed && s.Mode != wire.InstancesAuto:
		return s, refused("instances: mode %.20q: want none, named or auto", s.Mode)
	case s.Mode == wire.InstancesAuto && (s.Limit < 1 || s.Limit > wire.MaxAutoInstances):
		return s, refused("instances: limit %d: want 1 to %d instances for auto", s.Limit, wire.MaxAutoInstances)
	case s.Mode != wire.InstancesAuto && s.Limit != 0:
		return s, refused("instances: a limit needs auto")
	case s.Generation != wire.GenerationReport && s.Generation != wire.GenerationEnforce:
		return s, refused("instances: generation %.20q: want report or enforce", s.Generation)
	}
	return s, nil
}

// settingsText says in a record what an image's instances are.
func settingsText(s wire.InstanceSettings) string {
	text := string(s.Mode)
	if s.Mode == wire.InstancesAuto {
		text = fmt.Sprintf("%s, up to %d", text, s.Limit)
	}
	return fmt.Sprintf("%s, generation %s", text, s.Generation)
}
