package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/google/renameio/v2"
	"github.com/spf13/cobra"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/client/keyfile"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/seal"
)

func newKeygenCommand() *cobra.Command {
	var private, public string
	cmd := &cobra.Command{
		Use:   "keygen --private FILE --public FILE",
		Short: "Make an unsealing key pair",
		Long: `Make an unsealing key pair (HPKE, MLKEM768-X25519), as "snpguard convert" makes
one for every image. Together with seal and unseal it moves an image to another
service, or gives it a new key pair, when its VMK was recovered.`,
		Example: `  snpguard keygen --private unsealing.key --public unsealing.pub`,
		Args:    noArgs,
		RunE: func(_ *cobra.Command, _ []string) error {
			if private == "" || public == "" {
				return usageErrorf("--private and --public are needed: the files to write the keys to")
			}
			if filepath.Clean(private) == filepath.Clean(public) {
				return usageErrorf("--private and --public name the same file")
			}
			return keygen(private, public)
		},
	}
	cmd.Flags().StringVar(&private, "private", "", "file for the private key, readable by its owner only")
	cmd.Flags().StringVar(&public, "public", "", "file for the public key")
	return cmd
}

func keygen(privatePath, publicPath string) error {
	if _, err := os.Lstat(privatePath); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("write secret: %s already exists; replacing a key would lose everything sealed to it", privatePath)
	}
	key, err := seal.GenerateKey()
	if err != nil {
		return err
	}
	private, err := keyfile.Private(key)
	if err != nil {
		return err
	}
	defer clear(private)
	if err := writeSecret(privatePath, private); err != nil {
		return err
	}
	return renameio.WriteFile(publicPath, keyfile.Public(key.Public()), 0o644)
}

// writeSecret writes a file that only its owner can read, whole or not at all.
func writeSecret(path string, secret []byte) error {
	if err := renameio.WriteFile(path, secret, 0o600, renameio.IgnoreUmask()); err != nil {
		return fmt.Errorf("write secret: %w", err)
	}
	return nil
}
