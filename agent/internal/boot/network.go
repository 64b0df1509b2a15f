package boot

import (
	"context"

	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/unlock"
)

func (b *Boot) networkUp(ctx context.Context) error {
	b.net = b.Machine.Network(func(format string, args ...any) { b.Log.Printf("network", format, args...) })
	return b.net.Up(ctx, b.config.Network)
}

// paths are the ways out of this machine by now.
func (b *Boot) paths() []unlock.Path {
	var paths []unlock.Path
	for _, way := range b.net.Ways() {
		paths = append(paths, unlock.Path{Name: way.Link.Name, Dial: way.Dial})
	}
	return paths
}
