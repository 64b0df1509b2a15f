package main

import (
	"crypto/ed25519"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/client/keyfile"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/embed"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/bundle"
)

// trustOptions say by flags which bundles are taken.
type trustOptions struct {
	identityKey string
	unsigned    bool
}

func (o *trustOptions) addFlags(cmd *cobra.Command) {
	addIdentityKeyFlag(cmd, &o.identityKey)
	cmd.Flags().BoolVar(&o.unsigned, "unsigned", false, "accept an unsigned bundle, made from a conversion without encryption")
}

// trust returns the key that has to have signed a bundle, of a file or of the
// service that was logged in to, or nobody.
func (o *trustOptions) trust() (bundle.Trust, error) {
	if o.unsigned && o.identityKey != "" {
		return bundle.Trust{}, usageErrorf("--identity-key and --unsigned exclude each other: an unsigned bundle has no signature to check")
	}
	if o.unsigned {
		return bundle.Trust{Unsigned: true}, nil
	}
	identity, err := o.identity()
	return bundle.Trust{Identity: identity}, err
}

func (o *trustOptions) identity() (ed25519.PublicKey, error) {
	if o.identityKey == "" {
		service, err := connect()
		if err != nil {
			return nil, fmt.Errorf("%w, or give the service's identity key by --identity-key", err)
		}
		return service.identity(), nil
	}
	data, err := readWhole(o.identityKey, keyfile.MaxSize)
	if err != nil {
		return nil, err
	}
	key, err := keyfile.ParseIdentity(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", o.identityKey, err)
	}
	return key, nil
}

// notGenuine turns an error about what a bundle holds into the answer "no".
func notGenuine(cmd *cobra.Command, what string, err error) error {
	switch {
	case errors.Is(err, bundle.ErrUnsigned):
		note(cmd, "snpguard: %s: %s; --unsigned accepts an unsigned bundle, made from a conversion without encryption", what, safe(err.Error()))
	case errors.Is(err, bundle.ErrSignature), errors.Is(err, bundle.ErrBundle), errors.Is(err, embed.ErrArtifacts):
		note(cmd, "snpguard: %s: %s", what, safe(err.Error()))
	default:
		return err
	}
	return errNo
}
