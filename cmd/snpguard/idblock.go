package main

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/google/renameio/v2"
	"github.com/spf13/cobra"

	"github.com/snpguard-go/packer-plugin-snpguard/idblock"
	"github.com/snpguard-go/packer-plugin-snpguard/measure"
)

// idBlockOptions are the flags of "snpguard id-block" as they were given.
type idBlockOptions struct {
	measurement, policy, familyID, imageID string
	idKey, authorKey                       string
	guestSVN, version                      uint32
	blockOut, authOut                      string
	json                                   bool
}

func newIDBlockCommand() *cobra.Command {
	var o idBlockOptions
	cmd := &cobra.Command{
		Use:   "id-block --measurement HEX --id-key KEY --author-key KEY --id-block-out FILE --id-auth-out FILE [flags]",
		Short: "Make and sign the ID block of a guest",
		Long: `Make the ID block of a guest and sign it: with the ID key for the guest, and with
the author key for the ID key. Keys are ECDSA P-384 in PEM or DER, SEC 1 or PKCS #8.

The files hold the structures as the AMD-SP reads them; QEMU wants them in
base64, which --json prints. The same inputs give the same bytes.`,
		Example: `  snpguard id-block --measurement "$(cat measurement)" --id-key id.pem --author-key author.pem \
      --guest-policy abi=0.31,smt --id-block-out id-block.bin --id-auth-out id-auth.bin`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runIDBlock(cmd, &o) },
	}
	f := cmd.Flags()
	f.StringVar(&o.measurement, "measurement", "", "launch digest, 96 hexadecimal digits")
	f.StringVar(&o.idKey, "id-key", "", "file with the private ID key")
	f.StringVar(&o.authorKey, "author-key", "", "file with the private author key")
	addGuestPolicyFlag(cmd, &o.policy)
	alsoTakes(cmd, map[string]string{"policy": "guest-policy"})
	f.StringVar(&o.familyID, "family-id", "", "family ID, 32 hexadecimal digits or a UUID (default all zero)")
	f.StringVar(&o.imageID, "image-id", "", "image ID, 32 hexadecimal digits or a UUID (default all zero)")
	f.Uint32Var(&o.guestSVN, "guest-svn", 0, "security version of the guest")
	f.Uint32Var(&o.version, "id-version", idblock.Version, "version of the ID block format")
	f.StringVar(&o.blockOut, "id-block-out", "", "file to write the ID block to, 96 bytes")
	f.StringVar(&o.authOut, "id-auth-out", "", "file to write the ID authentication information to, 4096 bytes")
	addJSONFlag(cmd, &o.json)
	return cmd
}

// signedIDBlock is the JSON that "snpguard id-block" prints.
type signedIDBlock struct {
	IDBlock         string `json:"id_block"` // base64
	IDAuth          string `json:"id_auth"`  // base64
	IDKeyDigest     string `json:"id_key_digest"`
	AuthorKeyDigest string `json:"author_key_digest"`
	GuestPolicy     string `json:"guest_policy"`
}

func runIDBlock(cmd *cobra.Command, o *idBlockOptions) error {
	if (o.blockOut == "" || o.authOut == "") && !o.json {
		return usageErrorf("--id-block-out and --id-auth-out say where the result goes; they may be left out with --json")
	}
	if o.blockOut != "" && filepath.Clean(o.blockOut) == filepath.Clean(o.authOut) {
		return usageErrorf("--id-block-out and --id-auth-out name one file, want two")
	}
	if o.idKey == "" {
		return usageErrorf("--id-key is missing: the file with the private key that signs the ID block, ECDSA P-384")
	}
	if o.authorKey == "" {
		return usageErrorf("--author-key is missing: the file with the private key that signs the ID key, ECDSA P-384")
	}
	block, err := o.block()
	if err != nil {
		return usageError{err}
	}
	idKey, err := readKey(o.idKey, idblock.ParsePrivateKey)
	if err != nil {
		return err
	}
	authorKey, err := readKey(o.authorKey, idblock.ParsePrivateKey)
	if err != nil {
		return err
	}
	auth, err := idblock.Sign(block, idKey, authorKey)
	if err != nil {
		return err
	}
	authBytes, err := auth.Bytes()
	if err != nil {
		return err
	}
	idKeyDigest, err := idblock.KeyDigest(auth.IDKey)
	if err != nil {
		return err
	}
	authorKeyDigest, err := idblock.KeyDigest(auth.AuthorKey)
	if err != nil {
		return err
	}
	if err := o.writeFiles(block.Bytes(), authBytes); err != nil {
		return err
	}
	if o.json {
		return printJSON(cmd.OutOrStdout(), signedIDBlock{
			IDBlock:         base64.StdEncoding.EncodeToString(block.Bytes()),
			IDAuth:          base64.StdEncoding.EncodeToString(authBytes),
			IDKeyDigest:     hex.EncodeToString(idKeyDigest[:]),
			AuthorKeyDigest: hex.EncodeToString(authorKeyDigest[:]),
			GuestPolicy:     measure.Hex(block.Policy).String(),
		})
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "ID key digest      %x\nauthor key digest  %x\n", idKeyDigest, authorKeyDigest)
	return err
}

// block turns the flags into an ID block.
func (o *idBlockOptions) block() (idblock.IDBlock, error) {
	b := idblock.IDBlock{Version: o.version, GuestSVN: o.guestSVN}
	digest, err := measure.ParseDigest(o.measurement)
	if err != nil {
		return b, fmt.Errorf("--measurement: %w", err)
	}
	b.LaunchDigest = digest
	if b.Policy, err = idblock.ParseGuestPolicy(o.policy); err != nil {
		return b, fmt.Errorf("--guest-policy: %w", err)
	}
	if b.FamilyID, err = parseID(o.familyID); err != nil {
		return b, fmt.Errorf("--family-id: %w", err)
	}
	if b.ImageID, err = parseID(o.imageID); err != nil {
		return b, fmt.Errorf("--image-id: %w", err)
	}
	return b, b.Validate()
}

// parseID reads 16 bytes in hexadecimal, with or without the hyphens of a UUID.
func parseID(s string) (id [16]byte, err error) {
	if s == "" {
		return id, nil
	}
	digits := s
	if len(s) == 36 && s[8] == '-' && s[13] == '-' && s[18] == '-' && s[23] == '-' {
		digits = strings.ReplaceAll(s, "-", "")
	}
	decoded, err := hex.DecodeString(digits)
	if err != nil || len(decoded) != len(id) {
		return id, fmt.Errorf("%q is not 32 hexadecimal digits or a UUID", s)
	}
	return [16]byte(decoded), nil
}

// writeFiles writes both files or none of those asked for.
func (o *idBlockOptions) writeFiles(block, auth []byte) error {
	var pending []*renameio.PendingFile
	defer func() {
		for _, p := range pending {
			p.Cleanup() //nolint:errcheck // nothing is left to do about it
		}
	}()
	for _, out := range []struct {
		path string
		data []byte
	}{{o.blockOut, block}, {o.authOut, auth}} {
		if out.path == "" {
			continue
		}
		p, err := renameio.NewPendingFile(out.path, renameio.WithPermissions(0o644))
		if err != nil {
			return err
		}
		pending = append(pending, p)
		if _, err := p.Write(out.data); err != nil {
			return err
		}
	}
	for _, p := range pending {
		if err := p.CloseAtomicallyReplace(); err != nil {
			return err
		}
	}
	return nil
}

// maxKeySize bounds a file with a key in bytes. A P-384 key has less than 1
// KiB.
const maxKeySize = 64 << 10

// readKey reads a key from a file.
func readKey[K any](path string, parse func([]byte) (K, error)) (K, error) {
	var none K
	data, err := readWhole(path, maxKeySize)
	if err != nil {
		return none, err
	}
	key, err := parse(data)
	if err != nil {
		return none, fmt.Errorf("%s: %w", path, err)
	}
	return key, nil
}
