package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/google/renameio/v2"
	"github.com/spf13/cobra"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/client/keyfile"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/seal"
)

func newKeysCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "keys DIRECTORY",
		Short: "Write a service's public keys to files, for converting offline",
		Long: `Write the public keys that were confirmed at login to ca.pem, identity.pem and
ingestion.pem in a directory. With them, "snpguard convert" works on a machine
that reaches no service. None of them is secret, but anyone who can change them on
the way decides which service the image will trust.`,
		Example: `  snpguard keys keys/`,
		Args:    oneArg,
		RunE:    func(_ *cobra.Command, args []string) error { return writeKeys(args[0]) },
	}
}

func writeKeys(dir string) error {
	service, err := connect()
	if err != nil {
		return err
	}
	identity, err := keyfile.Identity(service.identity())
	if err != nil {
		return err
	}
	ingestion, err := seal.ParsePublicKey(service.login.IngestionKey)
	if err != nil {
		return fmt.Errorf("ingestion key of the login: %w", err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	files := map[string][]byte{"identity.pem": identity, "ingestion.pem": keyfile.Public(ingestion)}
	if service.login.CA != "" {
		files["ca.pem"] = []byte(service.login.CA)
	}
	for name, content := range files {
		if err := renameio.WriteFile(filepath.Join(dir, name), content, 0o644); err != nil {
			return err
		}
	}
	return nil
}
