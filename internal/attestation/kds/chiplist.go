package kds

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/snp"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/size"
)

// Limits of a chip list.
const (
	maxChips     = maxFileCacheEntries
	maxChipLine  = 4096     // bytes
	maxChipBytes = 64 << 20 // bytes of the whole list
)

// ParseChipList reads a list of chips, one a line:
//
//	Genoa,CHIP ID,bootloader=10,tee=0,snp=23,microcode=84
//
// The chip ID is hexadecimal, the TCB as ParseTCB reads it. Spaces around the
// parts do not matter; empty lines and those that start with # are passed over. A
// chip that is there twice is returned once.
func ParseChipList(r io.Reader) ([]Key, error) {
	var keys []Key
	seen := make(map[Key]bool)
	limited := &io.LimitedReader{R: r, N: maxChipBytes + 1}
	lines := bufio.NewScanner(limited)
	lines.Buffer(make([]byte, 0, maxChipLine), maxChipLine)
	n := 0
	for lines.Scan() {
		n++
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		key, err := parseChip(line)
		if err != nil {
			return nil, fmt.Errorf("chip list, line %d: %w", n, err)
		}
		if seen[key] {
			continue
		}
		if len(keys) == maxChips {
			return nil, fmt.Errorf("chip list has more than %d chips", maxChips)
		}
		seen[key] = true
		keys = append(keys, key)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("chip list, line %d: %w", n+1, err)
	}
	if limited.N <= 0 {
		return nil, fmt.Errorf("chip list has more than %s", size.Text(maxChipBytes))
	}
	return keys, nil
}

func parseChip(line string) (Key, error) {
	parts := strings.SplitN(line, ",", 3)
	if len(parts) != 3 {
		return Key{}, errors.New("want PRODUCT,CHIP ID,TCB")
	}
	p, err := snp.ParseProduct(strings.TrimSpace(parts[0]))
	if err != nil {
		return Key{}, err
	}
	id, err := ParseChipID(p, strings.TrimSpace(parts[1]))
	if err != nil {
		return Key{}, err
	}
	tcb, err := ParseTCB(p, parts[2])
	if err != nil {
		return Key{}, err
	}
	return VCEKKey(p, id, tcb)
}
