package register

import (
	"fmt"
	"strings"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/staging"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/option"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// findings returns what a conversion has found and not mended, nil when there was
// none to ask. The error names the critical findings that are not accepted.
func (c *Config) findings(conversion *staging.Conversion) ([]wire.Finding, error) {
	if conversion == nil {
		return nil, nil
	}
	found := staging.Unmended(conversion.Findings, c.AcceptFindings)
	open := wire.Unaccepted(found)
	if len(open) == 0 {
		return found, nil
	}
	var said strings.Builder
	for _, f := range open {
		fmt.Fprintf(&said, "\n  %s: %s", f.Code, f.Text)
	}
	return nil, option.Errorf("accept_findings", "the host can get into this image; fix it and convert it again, or accept each finding by its code:%s", said.String())
}
