package boot

import (
	"context"
	"fmt"
	"os"

	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/status"
	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/timeline"
)

// distributionInit is the first program of a distribution's initrd.
const distributionInit = "/init"

// handOver leaves the machine as the kernel would have given it to the
// distribution, but for the open root, and becomes its init.
func (b *Boot) handOver(context.Context) error {
	if err := b.net.Down(); err != nil {
		return fmt.Errorf("take the network down: %w", err)
	}
	keepRun, err := status.Arrange(b.Machine.Root, b.status())
	if err != nil {
		return err
	}
	b.Log.Printf("hand-over", "to %s after %s", distributionInit, timeline.Text(b.Log.Steps()))
	var kept []string
	if keepRun {
		kept = []string{dirRun}
	}
	if err := b.mounts.unmount(kept...); err != nil {
		return err
	}
	return b.Machine.Exec(distributionInit, append([]string{distributionInit}, os.Args[1:]...), os.Environ())
}
