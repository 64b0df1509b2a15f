package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/strictjson"
	"github.com/snpguard-go/packer-plugin-snpguard/measure"
)

// diffResult is the JSON that "snpguard measure --diff --json" prints.
type diffResult struct {
	Equal       bool                 `json:"equal"`
	Differences []measure.Difference `json:"differences,omitempty"` // all, in the order of the launch
}

// runMeasureDiff compares two saved explanations and answers no when they
// differ.
func runMeasureDiff(cmd *cobra.Command, args []string, asJSON bool) error {
	if len(args) != 2 {
		return usageErrorf("--diff compares two files, got %d", len(args))
	}
	a, err := readExplanation(args[0])
	if err != nil {
		return err
	}
	b, err := readExplanation(args[1])
	if err != nil {
		return err
	}
	differences := measure.Compare(a, b)
	if err := printDifferences(cmd, differences, asJSON); err != nil {
		return err
	}
	if len(differences) > 0 {
		return errNo
	}
	return nil
}

func printDifferences(cmd *cobra.Command, all []measure.Difference, asJSON bool) error {
	out := cmd.OutOrStdout()
	if asJSON {
		return printJSON(out, diffResult{len(all) == 0, all})
	}
	if len(all) == 0 {
		_, err := fmt.Fprintln(out, "no difference")
		return err
	}
	for _, d := range all {
		if _, err := fmt.Fprintf(out, "%s\n  A: %s\n  B: %s\n", d.Meaning, d.A, d.B); err != nil {
			return err
		}
	}
	return nil
}

// maxExplanationSize bounds a saved explanation in bytes. One has less than 64
// KiB.
const maxExplanationSize = 1 << 20

// readExplanation reads the output of "snpguard measure --explain --json" for
// one variant.
func readExplanation(path string) (*measure.Explanation, error) {
	data, err := readWhole(path, maxExplanationSize)
	if err != nil {
		return nil, err
	}
	var all []*measure.Explanation
	if err := strictjson.Decode(data, &all); err != nil {
		return nil, fmt.Errorf("%s: is not the output of \"snpguard measure --explain --json\": %w", path, err)
	}
	if len(all) != 1 || all[0] == nil {
		return nil, fmt.Errorf("%s: holds %d explanations, want one: measure a single variant", path, len(all))
	}
	if all[0].Format != measure.ExplanationFormat {
		return nil, fmt.Errorf("%s: has format %d, this program knows %d", path, all[0].Format, measure.ExplanationFormat)
	}
	return all[0], nil
}
