package main

import (
	"fmt"

	"github.com/google/renameio/v2"
	"github.com/spf13/cobra"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/client/keyfile"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/seal"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// sealOptions are the flags of "snpguard seal" and "snpguard unseal".
type sealOptions struct {
	key, imageID, in, out string
}

func (o *sealOptions) add(cmd *cobra.Command, key, in, out string) {
	f := cmd.Flags()
	f.StringVar(&o.key, "key", "", key)
	f.StringVar(&o.imageID, "image-id", "", "UUID of the image")
	f.StringVar(&o.in, "in", "", in)
	f.StringVar(&o.out, "out", "", out)
}

// secret is a kind of secret that is sealed, and how.
type secret struct {
	info func(wire.UUID) []byte
	size int // in bytes
}

// secretOf returns the kind of a name.
func secretOf(name string) (secret, error) {
	switch name {
	case "vmk":
		return secret{wire.SealedVMKInfo, wire.VMKSize}, nil
	case "unsealing-key":
		return secret{wire.UnsealingKeyInfo, 32}, nil
	}
	return secret{}, usageErrorf("unknown kind of secret %q, want vmk or unsealing-key", name)
}

const sealLong = `
A "vmk" is the volume key of an image, 64 bytes; it is sealed to the image's
unsealing key. An "unsealing-key" is the private half of that key as keygen
writes it; it is sealed to the service's ingestion key. Either is bound to the
image's UUID.`

func newSealCommand() *cobra.Command {
	var o sealOptions
	cmd := &cobra.Command{
		Use:   "seal vmk|unsealing-key --key FILE --image-id UUID --in FILE --out FILE",
		Short: "Seal a volume key or an unsealing key for an image",
		Long:  "Seal a secret of an image to a public key.\n" + sealLong,
		Example: `  snpguard seal vmk --key unsealing.pub --image-id $ID --in vmk --out vmk.sealed
  snpguard seal unsealing-key --key ingestion.pem --image-id $ID --in unsealing.key --out unsealing.key.enc`,
		Args: oneArg,
		RunE: func(_ *cobra.Command, args []string) error { return o.seal(args[0]) },
	}
	o.add(cmd, "public key to seal to", "file with the secret", "file for the sealed secret")
	return cmd
}

func newUnsealCommand() *cobra.Command {
	var o sealOptions
	cmd := &cobra.Command{
		Use:   "unseal vmk|unsealing-key --key FILE --image-id UUID --in FILE --out FILE",
		Short: "Open what was sealed for an image",
		Long: `Open a sealed secret of an image with a private key. What comes out opens the
image's disk: it is written for its owner alone.
` + sealLong,
		Example: `  snpguard unseal vmk --key unsealing.key --image-id $ID --in vmk.sealed --out vmk
  cryptsetup open --type luks2 --volume-key-file vmk --key-size 512 PARTITION root`,
		Args: oneArg,
		RunE: func(_ *cobra.Command, args []string) error { return o.unseal(args[0]) },
	}
	o.add(cmd, "private key", "file with the sealed secret", "file for the secret")
	return cmd
}

// arguments checks the flags and returns the image's UUID.
func (o *sealOptions) arguments() (wire.UUID, error) {
	if o.key == "" || o.imageID == "" || o.in == "" || o.out == "" {
		return wire.UUID{}, usageErrorf("--key, --image-id, --in and --out are all needed")
	}
	id, err := wire.ParseUUID(o.imageID)
	if err != nil {
		return id, usageErrorf("--image-id: %w", err)
	}
	return id, nil
}

func (o *sealOptions) seal(name string) error {
	kind, err := secretOf(name)
	if err != nil {
		return err
	}
	image, err := o.arguments()
	if err != nil {
		return err
	}
	key, err := readKey(o.key, keyfile.ParsePublic)
	if err != nil {
		return err
	}
	plain, err := o.plain(name, kind)
	if err != nil {
		return err
	}
	defer clear(plain)
	sealed, err := key.Seal(kind.info(image), plain)
	if err != nil {
		return err
	}
	// Whoever has a sealed unsealing key can hand it to the service.
	return renameio.WriteFile(o.out, sealed, 0o600)
}

// plain reads the secret to be sealed.
func (o *sealOptions) plain(name string, kind secret) ([]byte, error) {
	if name == "unsealing-key" {
		private, err := readKey(o.in, keyfile.ParsePrivate)
		if err != nil {
			return nil, err
		}
		return private.Bytes()
	}
	plain, err := readWhole(o.in, keyfile.MaxSize)
	if err != nil {
		return nil, err
	}
	if len(plain) != kind.size {
		clear(plain)
		return nil, fmt.Errorf("%s: %d bytes, a VMK has %d", o.in, len(plain), kind.size)
	}
	return plain, nil
}

func (o *sealOptions) unseal(name string) error {
	kind, err := secretOf(name)
	if err != nil {
		return err
	}
	image, err := o.arguments()
	if err != nil {
		return err
	}
	key, err := readKey(o.key, keyfile.ParsePrivate)
	if err != nil {
		return err
	}
	sealed, err := readWhole(o.in, keyfile.MaxSize)
	if err != nil {
		return err
	}
	plain, err := key.Open(kind.info(image), sealed)
	if err != nil {
		return fmt.Errorf("%s: %w: it was sealed to another key or for another image, or it is damaged", o.in, err)
	}
	defer clear(plain)
	if name == "vmk" {
		return writeSecret(o.out, plain)
	}
	private, err := seal.ParsePrivateKey(plain)
	if err != nil {
		return err
	}
	encoded, err := keyfile.Private(private)
	if err != nil {
		return err
	}
	defer clear(encoded)
	return writeSecret(o.out, encoded)
}
