package boot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/report"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/bootconf"
)

// Errors of a configuration for another kind of agent.
var (
	errForSimulated = errors.New("the image is for a simulated AMD-SP, this agent is not: convert it with its own agent")
	errForReal      = errors.New("the image is for a real AMD-SP, this agent is for a simulated one: convert it with the release agent")
)

// readConfig reads the measured configuration. A build for a simulated AMD-SP
// and one for the real one refuse each other's images.
func (b *Boot) readConfig(context.Context) error {
	c, err := parseConfig(b.Machine.at(bootconf.PathConfig), report.Simulated)
	if err != nil {
		return err
	}
	b.config = c
	if c.Simulated {
		b.Log.Printf("config", "WARNING: simulated AMD-SP, nothing is protected")
	}
	b.Log.Printf("config", "image %s, %d service(s), deadline %d s", c.ImageID, len(c.Services), c.Deadline)
	return nil
}

func parseConfig(path string, simulated bool) (*bootconf.Config, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	encoded, err := io.ReadAll(io.LimitReader(f, bootconf.MaxSize+1))
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	c, err := bootconf.Parse(encoded)
	switch {
	case err != nil:
		return nil, err
	case c.Simulated && !simulated:
		return nil, errForSimulated
	case !c.Simulated && simulated:
		return nil, errForReal
	}
	return c, nil
}
