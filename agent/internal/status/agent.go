package status

import (
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/bootconf"
)

// Leave copies agent and configuration from the initrd to the directory of the
// status, where the running system finds both of the same age. root is the initrd's,
// "/" in production; the status is there already.
func Leave(root string) error {
	return errors.Join(
		leave(root, bootconf.PathAgent, bootconf.PathRunAgent, 0o755),
		leave(root, bootconf.PathConfig, bootconf.PathRunConfig, 0o644),
	)
}

// LeaveBootKey leaves what signs the calls of this boot, for root alone.
func LeaveBootKey(root string, key ed25519.PrivateKey) error {
	if err := write(filepath.Join(root, bootconf.PathBootKey), []byte(hex.EncodeToString(key.Seed())+"\n")); err != nil {
		return fmt.Errorf("leave boot key: %w", err)
	}
	return nil
}

func leave(root, from, to string, mode fs.FileMode) error {
	in, err := os.Open(filepath.Join(root, from))
	if err != nil {
		return fmt.Errorf("leave %s: %w", from, err)
	}
	defer in.Close()
	out, err := os.OpenFile(filepath.Join(root, to), os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return fmt.Errorf("leave %s: %w", from, err)
	}
	_, err = io.Copy(out, in)
	if err := errors.Join(err, out.Close()); err != nil {
		return fmt.Errorf("leave %s: %w", from, err)
	}
	return nil
}
