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
	"strings"

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

// ReadBootKey reads what LeaveBootKey has left.
func ReadBootKey(root string) (ed25519.PrivateKey, error) {
	text, err := read(filepath.Join(root, bootconf.PathBootKey))
	if err != nil {
		return nil, fmt.Errorf("read boot key: %w", err)
	}
	seed, err := hex.DecodeString(strings.TrimSuffix(string(text), "\n"))
	if err != nil || len(seed) != ed25519.SeedSize {
		return nil, errors.New("read boot key: it is none") // the error would show a part of it
	}
	return ed25519.NewKeyFromSeed(seed), nil
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
