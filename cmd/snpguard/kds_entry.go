package main

import (
	"fmt"
	"io"
	"math/big"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/kds"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/snp"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/size"
)

// shownEntry is a cache entry in the JSON that the kds commands print.
type shownEntry struct {
	Name      string     `json:"name"` // of the file in the cache
	Kind      kds.Kind   `json:"kind"` // vcek, chain or crl
	Product   string     `json:"product"`
	SignedBy  string     `json:"signing_key,omitempty"` // of chain and crl: VCEK or VLEK
	ChipID    string     `json:"chip_id,omitempty"`     // of vcek, as KDS has it
	TCB       *snp.TCB   `json:"tcb,omitempty"`         // of vcek
	Size      int64      `json:"size"`                  // bytes
	FetchedAt time.Time  `json:"fetched_at"`
	NotAfter  *time.Time `json:"not_after,omitempty"` // of vcek and chain, of the first certificate
	CRL       *shownCRL  `json:"crl,omitempty"`
	Usable    bool       `json:"usable"`            // false: damaged, expired, stale or below another root
	Problem   string     `json:"problem,omitempty"` // why it is not usable
}

// shownCRL says how current a revocation list is.
type shownCRL struct {
	Number     *big.Int  `json:"number"` // null: it has none
	ThisUpdate time.Time `json:"this_update"`
	NextUpdate time.Time `json:"next_update"`
	Revoked    int       `json:"revoked"` // certificates on it
}

func newShownEntry(in kds.Inspected, now time.Time) shownEntry {
	e := shownEntry{
		Name: in.Key.String(), Kind: in.Key.Kind, Product: string(in.Key.Product), Size: in.Size,
		FetchedAt: in.FetchedAt.UTC().Truncate(time.Second), Usable: in.Err == nil,
	}
	if in.Key.Kind == kds.KindVCEK {
		e.ChipID = fmt.Sprintf("%x", in.Key.ChipID[:in.Key.Product.HardwareIDSize()])
		e.TCB = &in.Key.TCB
	} else {
		e.SignedBy = in.Key.Signer.String()
	}
	switch {
	case in.Err != nil:
		e.Problem = in.Err.Error()
	case in.VCEK != nil:
		e.NotAfter = &in.VCEK.NotAfter
	case in.Chain != nil:
		e.NotAfter = &in.Chain.ASK.NotAfter
	case in.CRL != nil:
		e.CRL = &shownCRL{in.CRL.Number, in.CRL.ThisUpdate, in.CRL.NextUpdate, len(in.CRL.RevokedCertificateEntries)}
		if !now.Before(in.CRL.NextUpdate) {
			e.Usable, e.Problem = false, "it is not current"
		}
	}
	return e
}

// printEntries writes one line for each entry.
func printEntries(out io.Writer, entries []shownEntry, now time.Time) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "kind\tproduct\tof\tage\tsize\tstate")
	for _, e := range entries {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", e.Kind, e.Product, e.of(), age(now.Sub(e.FetchedAt)), size.Text(e.Size), e.state())
	}
	return w.Flush()
}

// of says whose entry it is.
func (e shownEntry) of() string {
	if e.TCB == nil {
		return e.SignedBy
	}
	chip := e.ChipID
	if len(chip) > 16 {
		chip = chip[:16] + "..."
	}
	return chip + " " + kds.FormatTCB(snp.Product(e.Product), *e.TCB)
}

func (e shownEntry) state() string {
	switch {
	case e.CRL != nil:
		number := "no number"
		if e.CRL.Number != nil {
			number = "number " + e.CRL.Number.String()
		}
		span := fmt.Sprintf("%s, of %s, next by %s, %d revoked", number,
			stamp(e.CRL.ThisUpdate), stamp(e.CRL.NextUpdate), e.CRL.Revoked)
		if !e.Usable {
			return "NOT CURRENT: " + span
		}
		return span
	case !e.Usable:
		return "NOT USABLE: " + safe(e.Problem)
	}
	return "valid until " + stamp(*e.NotAfter)
}

// age writes a duration in its largest unit.
func age(d time.Duration) string {
	switch {
	case d < 0:
		return "in the future"
	case d < 2*time.Minute:
		return fmt.Sprintf("%d s", d/time.Second)
	case d < 2*time.Hour:
		return fmt.Sprintf("%d min", d/time.Minute)
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h", d/time.Hour)
	}
	return fmt.Sprintf("%d days", d/(24*time.Hour))
}

// summary counts entries by kind, such as "2 vcek, 1 chain".
func summary(keys []kds.Key) string {
	counts := make(map[kds.Kind]int)
	for _, k := range keys {
		counts[k.Kind]++
	}
	var parts []string
	for _, kind := range []kds.Kind{kds.KindVCEK, kds.KindChain, kds.KindCRL} {
		parts = append(parts, fmt.Sprintf("%d %s", counts[kind], kind))
	}
	return strings.Join(parts, ", ")
}
