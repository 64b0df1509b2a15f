package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/kds"
)

func newKDSCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "kds",
		Short: "Fetch, keep and carry AMD's certificates",
		Long: `Fetch AMD's certificates and revocation lists from its Key Distribution Service,
keep them in a cache, and carry the cache to sites that cannot reach it.

Everything is checked before it is kept: signed below AMD's roots, or below those
that --insecure-trust-root gives in their place, and for exactly what was asked.`,
		Example: `  snpguard kds fetch --report report.bin
  snpguard kds status`,
		Args: wantsCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(
		newKDSFetchCommand(),
		newKDSPrefetchCommand(),
		newKDSExportCommand(),
		newKDSImportCommand(),
		newKDSStatusCommand(),
	)
	return cmd
}

// kdsOptions are the flags that the kds commands share.
type kdsOptions struct {
	url, cache, trustRoot string
}

// addCacheFlags adds the flags of commands that use the cache alone.
func (o *kdsOptions) addCacheFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&o.cache, "cache", "", "directory of the cache (default snpguard/kds in the user's cache directory)")
	addTrustRootFlag(cmd, &o.trustRoot)
}

// addFlags adds the flags of commands that ask KDS.
func (o *kdsOptions) addFlags(cmd *cobra.Command) {
	o.addCacheFlags(cmd)
	cmd.Flags().StringVar(&o.url, "kds", kds.AMD, "URL of the Key Distribution Service")
}

// client returns a client of the cache and, when there is a URL, of KDS. What it
// has to report goes to standard error.
func (o *kdsOptions) client(cmd *cobra.Command, change ...func(*kds.Config)) (*kds.Client, error) {
	roots, err := readRoots(o.trustRoot)
	if err != nil {
		return nil, err
	}
	cache, err := openKDSCache(o.cache)
	if err != nil {
		return nil, err
	}
	cfg := kds.Config{
		BaseURL: o.url, Offline: o.url == "", Cache: cache, Roots: roots.ARKs, Known: roots.ASKs,
		Log: slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), nil)),
	}
	for _, c := range change {
		c(&cfg)
	}
	client, err := kds.New(cfg)
	if err != nil {
		return nil, usageErrorf("--kds: %w", err)
	}
	return client, nil
}

// openKDSCache opens the cache in a directory, by default the user's.
func openKDSCache(dir string) (*kds.FileCache, error) {
	if dir == "" {
		base, err := os.UserCacheDir()
		if err != nil {
			return nil, err
		}
		dir = filepath.Join(base, "snpguard", "kds")
	}
	return kds.OpenFileCache(dir)
}

// sayNo turns an error that is an answer into "no", after it has said why.
func sayNo(stderr io.Writer, err error, answers ...error) error {
	for _, answer := range answers {
		if errors.Is(err, answer) {
			fmt.Fprintf(stderr, "snpguard: %v\n", err)
			return errNo
		}
	}
	return err
}
