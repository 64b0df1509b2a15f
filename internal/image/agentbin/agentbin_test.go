package agentbin_test

import (
	"bytes"
	"debug/elf"
	"errors"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/agentbin"
)

// Whether agents are embedded depends on what was built before; either answer
// has to be the right one.
func TestAgentsRunInGuests(t *testing.T) {
	for _, simulated := range []bool{false, true} {
		agent, err := agentbin.Agent(simulated)
		if errors.Is(err, agentbin.ErrMissing) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		file, err := elf.NewFile(bytes.NewReader(agent))
		if err != nil {
			t.Fatalf("simulated %t: %v", simulated, err)
		}
		if file.Machine != elf.EM_X86_64 {
			t.Errorf("simulated %t: runs on %s", simulated, file.Machine)
		}
		if file.Section(".interp") != nil {
			t.Errorf("simulated %t: needs a dynamic loader, and an initrd has none", simulated)
		}
	}
}
