package status

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/bootconf"
)

// LeaveAgent copies the agent from the initrd to the directory of the status, where
// the running system finds one that is of the same age as the configuration of this
// boot. root is the initrd's, "/" in production; the status is there already.
func LeaveAgent(root string) error {
	in, err := os.Open(filepath.Join(root, bootconf.PathAgent))
	if err != nil {
		return fmt.Errorf("leave the agent: %w", err)
	}
	defer in.Close()
	out, err := os.OpenFile(filepath.Join(root, bootconf.PathRunAgent), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o755)
	if err != nil {
		return fmt.Errorf("leave the agent: %w", err)
	}
	_, err = io.Copy(out, in)
	if err := errors.Join(err, out.Close()); err != nil {
		return fmt.Errorf("leave the agent: %w", err)
	}
	return nil
}
