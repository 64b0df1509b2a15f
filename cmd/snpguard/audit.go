package main

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/client"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/option"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

func newAuditCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "Read and verify the audit log of the service",
		Example: `  snpguard audit list --outcome denied --since 24h
  snpguard audit verify --head "$KEPT"`,
		Args: wantsCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newAuditListCommand(), newAuditVerifyCommand(), newAuditExportCommand())
	return cmd
}

func newAuditListCommand() *cobra.Command {
	var f client.AuditFilter
	var span option.Duration
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List audit records, newest first",
		Long: `List audit records, newest first: every grant and denial of a key, with the rule
that failed, what it expected and what it found, and every change to the service.`,
		Example: "  snpguard audit list --outcome denied --since 24h",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			since := time.Duration(span)
			if err := checkRecords(f.Limit, since); err != nil {
				return err
			}
			if since > 0 {
				f.Since = time.Now().Add(-since)
			}
			service, err := connect()
			if err != nil {
				return err
			}
			if f.Instance, err = instanceID(cmd, service, f.Instance); err != nil {
				return err
			}
			records, err := service.Audit(cmd.Context(), f)
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), records)
			}
			t := newTable(cmd)
			fmt.Fprintln(t, "SEQ\tTIME\tOUTCOME\tREASON\tACTOR\tIMAGE\tADDRESS\tEXPECTED\tFOUND\tDETAILS")
			for _, r := range records {
				fmt.Fprintf(t, "%d\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", r.Seq, stamp(r.Time), safe(r.Outcome), safe(r.Reason), safe(r.Actor),
					safe(r.ImageID), safe(r.Address), short(r.Expected), short(r.Found), recordDetails(r))
			}
			return t.Flush()
		},
	}
	cmd.Flags().StringVar(&f.Outcome, "outcome", "", "only records with this outcome: granted, denied or done")
	cmd.Flags().StringVar(&f.Reason, "reason", "", "only records with this reason, for example measurement")
	cmd.Flags().StringVar(&f.ImageID, "image-id", "", "only records of the image with this UUID")
	cmd.Flags().StringVar(&f.Instance, "instance", "", "only records of the instance with this name or UUID")
	cmd.Flags().Var(&span, "since", "only records from this period up to now, for example 24h or 30d")
	cmd.Flags().IntVar(&f.Limit, "limit", 100, "number of records to show, newest first; 0 for all")
	addJSONFlag(cmd, &asJSON)
	return cmd
}

// instanceID returns the ID of an instance by its name or its ID; that of one that is
// gone is known by its records alone. Empty stays empty.
func instanceID(cmd *cobra.Command, service *connected, text string) (string, error) {
	if _, err := wire.ParseUUID(text); text == "" || err == nil {
		return text, nil
	}
	found, err := service.FindInstance(cmd.Context(), text)
	if err != nil {
		return "", err
	}
	return found.ID.String(), nil
}

// checkRecords refuses what would list all records, or none, without being said.
func checkRecords(limit int, since time.Duration) error {
	if limit < 0 {
		return usageErrorf("--limit: %d is negative; give a number, or 0 for all records", limit)
	}
	if since < 0 {
		return usageErrorf("--since: %s is negative; give how far to look back, for example 24h", since)
	}
	return nil
}

// recordDetails writes what else there is to say of a record, such as
// "requests=17 first=... last=..." of denials that were counted.
func recordDetails(r wire.AuditRecord) string {
	text := detailText(r.Details)
	if r.Count > 0 {
		text = strings.TrimSpace(fmt.Sprintf("requests=%d %s", r.Count, text))
	}
	return text
}

// detailText writes what a change set, such as "enabled=false name=web", in order.
func detailText(details map[string]string) string {
	var words []string
	for _, name := range slices.Sorted(maps.Keys(details)) {
		words = append(words, safe(name)+"="+short(details[name]))
	}
	return strings.Join(words, " ")
}

// short cuts what would break a table; --json has all of it.
func short(s string) string {
	const most = 40
	if s = safe(s); len(s) > most {
		return s[:most] + "..."
	}
	return s
}

func newAuditVerifyCommand() *cobra.Command {
	var head string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "verify [FILE]",
		Short: "Verify the hash chain of the audit log",
		Long: `Verify the hash chain of the audit log: no record was changed, left out or put in
between. Keep the head that it prints in another place and give it the next time:
then it also shows that the end was not cut off. Exit code 1 when it is broken.

The service verifies its own log. With FILE, which "snpguard audit export" has
written, this program verifies the file without contacting the service.`,
		Example: `  snpguard audit verify --head "$KEPT"
  snpguard audit verify audit.jsonl --head "$KEPT"`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			expected, err := parseHead(head)
			if err != nil {
				return usageError{err}
			}
			v, err := verifyAudit(cmd, args, expected)
			if err != nil {
				return err
			}
			return printVerification(cmd, v, asJSON)
		},
	}
	cmd.Flags().StringVar(&head, "head", "", "SEQ:HASH of a record that must still be there")
	addJSONFlag(cmd, &asJSON)
	return cmd
}

// verifyAudit verifies a file, or has the service verify its log.
func verifyAudit(cmd *cobra.Command, args []string, head wire.AuditHead) (*wire.AuditVerification, error) {
	if len(args) > 0 {
		return verifyAuditFile(args[0], head)
	}
	service, err := connect()
	if err != nil {
		return nil, err
	}
	return service.VerifyAudit(cmd.Context(), head)
}

// headText writes a head as parseHead reads it.
func headText(h wire.AuditHead) string { return fmt.Sprintf("%d:%s", h.Seq, safe(h.Hash)) }

// parseHead reads SEQ:HASH; empty means none.
func parseHead(s string) (wire.AuditHead, error) {
	if s == "" {
		return wire.AuditHead{}, nil
	}
	seq, hash, found := strings.Cut(s, ":")
	n, err := strconv.ParseInt(seq, 10, 64)
	if err != nil || !found || len(hash) != 64 {
		return wire.AuditHead{}, fmt.Errorf("--head: %q is not SEQ:HASH, as \"snpguard status\" and \"snpguard audit verify\" print it", s)
	}
	return wire.AuditHead{Seq: n, Hash: hash}, nil
}

func printVerification(cmd *cobra.Command, v *wire.AuditVerification, asJSON bool) error {
	out := cmd.OutOrStdout()
	switch {
	case asJSON:
		if err := printJSON(out, v); err != nil {
			return err
		}
	case v.Valid:
		fmt.Fprintf(out, "valid: %d records, head %s\n", v.Records, headText(v.Head))
	default:
		fmt.Fprintf(out, "BROKEN at record %d: %s\n", v.Broken, safe(v.Problem))
	}
	if !v.Valid {
		return errNo
	}
	return nil
}
