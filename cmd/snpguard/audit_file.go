package main

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"reflect"

	"github.com/google/renameio/v2"
	"github.com/spf13/cobra"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/strictjson"
)

func newAuditExportCommand() *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use:   "export FILE",
		Short: "Write the audit log to a file",
		Long: `Write the whole audit log to a file, a record a line, oldest first, with what the
hash chain is over: "snpguard audit verify FILE" verifies it anywhere, without the
service.`,
		Example: "  snpguard audit export audit.jsonl",
		Args:    oneArg,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkNewFile(args[0], force); err != nil {
				return err
			}
			service, err := connect()
			if err != nil {
				return err
			}
			pending, err := renameio.NewPendingFile(args[0], renameio.WithPermissions(0o600))
			if err != nil {
				return err
			}
			defer pending.Cleanup() //nolint:errcheck // nothing is left to do about it
			if err := service.ExportAudit(cmd.Context(), pending); err != nil {
				return err
			}
			return pending.CloseAtomicallyReplace()
		},
	}
	cmd.Flags().BoolVar(&force, "force", false, "replace the file if it exists")
	return cmd
}

// maxAuditLine bounds a record of an exported audit log in bytes: its body is in it
// twice, once in base64.
const maxAuditLine = 2 << 20

// verifyAuditFile verifies an exported audit log, whoever had it in his hands. One
// that is not empty begins with the first record. head, unless it is zero, has to be
// in it.
func verifyAuditFile(path string, head wire.AuditHead) (*wire.AuditVerification, error) {
	f, err := openInput(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, maxAuditLine)
	v := &wire.AuditVerification{Valid: true}
	var last [sha256.Size]byte
	found := head == wire.AuditHead{}
	for lines.Scan() {
		seq := v.Records + 1
		if last, err = checkExported(lines.Bytes(), last, seq); err != nil {
			return brokenAt(v, seq, err.Error()), nil
		}
		v.Records, v.Head = seq, wire.AuditHead{Seq: seq, Hash: hex.EncodeToString(last[:])}
		if seq == head.Seq {
			if found = v.Head.Hash == head.Hash; !found {
				return brokenAt(v, seq, "it is not the record of --head: the log was written anew"), nil
			}
		}
	}
	switch err := lines.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		return brokenAt(v, v.Records+1, fmt.Sprintf("the line has more than %d bytes", maxAuditLine)), nil
	case err != nil:
		return nil, fmt.Errorf("read %s: %w", path, err)
	case !found:
		return brokenAt(v, v.Records+1, "the log ends before the record of --head"), nil
	}
	return v, nil
}

func brokenAt(v *wire.AuditVerification, seq int64, problem string) *wire.AuditVerification {
	v.Valid, v.Broken, v.Problem = false, seq, problem
	return v
}

// checkExported checks one line: its number, its hash, and that what it shows is what
// the hash is over. It returns the hash.
func checkExported(line []byte, previous [sha256.Size]byte, seq int64) (hash [sha256.Size]byte, err error) {
	var r, said wire.AuditRecord
	lenient := strictjson.Rules{SkipUnknown: true} // later versions add fields
	if err := lenient.Decode(line, &r); err != nil {
		return hash, fmt.Errorf("the line is not a record of an export: %w", err)
	}
	if r.Seq != seq {
		return hash, fmt.Errorf("the line has record %d", r.Seq)
	}
	hash = wire.AuditHash(previous, seq, r.Body)
	if r.PrevHash != hex.EncodeToString(previous[:]) || r.Hash != hex.EncodeToString(hash[:]) {
		return hash, errors.New("the record or its hash is not what was written")
	}
	if err := lenient.Decode(r.Body, &said); err != nil {
		return hash, fmt.Errorf("body: %w", err)
	}
	if !said.Time.Equal(r.Time) {
		return hash, errors.New("its time differs from the one that was hashed")
	}
	said.Time, said.Body, said.Hash, said.PrevHash = r.Time, r.Body, r.Hash, r.PrevHash
	if !reflect.DeepEqual(said, r) {
		return hash, errors.New("its fields differ from the content that was hashed")
	}
	return hash, nil
}
