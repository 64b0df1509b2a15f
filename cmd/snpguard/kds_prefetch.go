package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/kds"
)

// kdsPrefetchOptions are the flags of "snpguard kds prefetch" as they were given.
type kdsPrefetchOptions struct {
	kdsOptions
	interval time.Duration
	parallel int
	noCRL    bool
	json     bool
}

func newKDSPrefetchCommand() *cobra.Command {
	var o kdsPrefetchOptions
	cmd := &cobra.Command{
		Use:   "prefetch FILE [flags]",
		Short: "Fetch the certificates of a list of chips",
		Long: `Fetch the VCEKs of a list of chips, and for their product lines the certificates
above and the revocation lists. FILE, or standard input if it is "-", has one
chip per line, as "snpguard kds fetch" prints them:

  PRODUCT,CHIP ID,bootloader=4,tee=0,snp=24,microcode=219

Turin's chips also have fmc. Lines that start with # are ignored.

KDS limits rates, so this is slow; what is in the cache is not fetched again, and
an interrupted run continues when the command is run again. One line per chip is
printed as it is done. The JSON, which comes at the end, is an array of
objects with "entry", "outcome" (cached, fetched, unknown, failed) and "problem".

Exit code 1 means that KDS does not know some chips, 3 that some failed.`,
		Example: `  snpguard kds prefetch chips.txt && snpguard kds export kds-cache.tar.gz`,
		Args:    oneArg,
		RunE:    func(cmd *cobra.Command, args []string) error { return runKDSPrefetch(cmd, args[0], &o) },
	}
	o.addFlags(cmd)
	f := cmd.Flags()
	f.DurationVar(&o.interval, "interval", time.Second, "time between two requests")
	f.IntVar(&o.parallel, "parallel", 1, "requests at the same time, 1 or 2")
	f.BoolVar(&o.noCRL, "no-crl", false, "do not fetch revocation lists")
	addJSONFlag(cmd, &o.json)
	return cmd
}

// prefetchPatience is how long one chip may take: longer than KDS may ask to be
// left alone.
const prefetchPatience = 30 * time.Minute

func runKDSPrefetch(cmd *cobra.Command, path string, o *kdsPrefetchOptions) error {
	if o.parallel < 1 || o.parallel > 2 {
		return usageErrorf("--parallel: want 1 or 2, because KDS limits the rate of requests")
	}
	if o.interval < 0 {
		return usageErrorf("--interval: want 0 or more")
	}
	keys, err := readChipList(cmd, path)
	if err != nil {
		return err
	}
	client, err := o.client(cmd, func(cfg *kds.Config) {
		cfg.Pace.Interval, cfg.Pace.Parallel, cfg.Pace.Timeout = o.interval, o.parallel, prefetchPatience
		if o.noCRL {
			cfg.Revocation.Mode = kds.FailOff
		}
	})
	if err != nil {
		return err
	}
	defer client.Close()
	counts, all := make(map[kds.Outcome]int), []shownPrefetched{}
	err = client.Prefetch(cmd.Context(), keys, func(p kds.Prefetched) {
		counts[p.Outcome]++
		shown := newShownPrefetched(p)
		all = append(all, shown)
		if !o.json {
			fmt.Fprintln(cmd.OutOrStdout(), shown) // at once: the next may be minutes away
		}
	})
	if o.json {
		err = errors.Join(err, printJSON(cmd.OutOrStdout(), all))
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "snpguard: %d fetched, %d cached before, %d unknown, %d failed\n",
		counts[kds.OutcomeFetched], counts[kds.OutcomeCached], counts[kds.OutcomeUnknown], counts[kds.OutcomeFailed])
	switch {
	case err != nil:
		return err
	case counts[kds.OutcomeFailed] > 0:
		return fmt.Errorf("%d chips failed; run the command again for those", counts[kds.OutcomeFailed])
	case counts[kds.OutcomeUnknown] > 0:
		return errNo
	}
	return nil
}

func readChipList(cmd *cobra.Command, path string) ([]kds.Key, error) {
	in := cmd.InOrStdin()
	if path != "-" {
		f, err := openInput(path)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	keys, err := kds.ParseChipList(in)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return keys, nil
}

// shownPrefetched is one element of the JSON that "snpguard kds prefetch" prints.
type shownPrefetched struct {
	Entry   string      `json:"entry"` // as "snpguard kds status" names it
	Outcome kds.Outcome `json:"outcome"`
	Problem string      `json:"problem,omitempty"`
}

func newShownPrefetched(p kds.Prefetched) shownPrefetched {
	shown := shownPrefetched{Entry: p.Key.String(), Outcome: p.Outcome}
	if p.Err != nil {
		shown.Problem = p.Err.Error()
	}
	return shown
}

// String returns the line for people.
func (s shownPrefetched) String() string {
	line := fmt.Sprintf("%-7s %s", s.Outcome, s.Entry)
	if s.Problem != "" {
		line += ": " + safe(s.Problem)
	}
	return line
}
