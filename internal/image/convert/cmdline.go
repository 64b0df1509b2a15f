package convert

import (
	"errors"
	"fmt"
	"strings"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/bootentry"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/harden"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/option"
)

// commandLine makes what is measured, and returns what became of the words of the
// boot entry. Without encryption all of them stay, since there is no agent.
func (c *conversion) commandLine(sys *system) ([]harden.Finding, error) {
	if c.NoEncryption {
		sys.cmdline = strings.TrimSpace(sys.choice.Entry.Options + " " + c.CmdlineAppend)
		return nil, checkText(sys.cmdline)
	}
	line, err := bootentry.Cmdline(c.Initrd, sys.choice.Entry.Options, c.CmdlineAppend, c.KeepArguments)
	if errors.Is(err, bootentry.ErrKeep) {
		return nil, option.Wrap("keep_arguments", err)
	}
	if err != nil {
		return nil, err
	}
	sys.cmdline = line.Text
	if sys.mount, err = c.chooseMount(line.Text, sys.root); err != nil {
		return nil, err
	}
	for _, word := range line.Dropped {
		c.Events.Note("not in the measured command line: " + word)
	}
	return wordFindings(sys.choice.Entry, line), nil
}

// wordFindings names the words that were dropped, and those that the owner keeps.
func wordFindings(entry bootentry.Entry, line *bootentry.Line) (all []harden.Finding) {
	for _, word := range line.Dropped {
		all = append(all, harden.Finding{
			Code: "cmdline-dropped", Severity: harden.Warning, Path: entry.Source, Mended: true,
			Detail: fmt.Sprintf("%.200q of the boot entry is not known to be harmless, and is not in the measured command line", word),
		})
	}
	for _, word := range line.Kept {
		all = append(all, harden.Finding{
			Code: "cmdline-kept", Severity: harden.Warning, Path: entry.Source,
			Detail: fmt.Sprintf("%.200q of the boot entry is not known to be harmless, and is kept as its owner asks", word),
		})
	}
	return all
}
