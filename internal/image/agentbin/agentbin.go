// Package agentbin carries the guest agents inside the programs that convert
// images, so that converting needs nothing but the one program. "make agent"
// compiles them for linux/amd64 into the directory bin before those programs are
// built; what is there then is embedded.
package agentbin

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
)

// Architecture is what the agents run on: SEV-SNP exists nowhere else.
const Architecture = "amd64"

// MaxSize bounds an agent, in bytes.
const MaxSize = 64 << 20

// ErrMissing is a program that was built without agents.
var ErrMissing = errors.New("this program was built without the guest agent: build it with \"make build\", or name an agent")

//go:embed bin
var embedded embed.FS

// Agent returns the agent, or the one that attests to a simulated AMD-SP. The
// error wraps ErrMissing.
func Agent(simulated bool) ([]byte, error) {
	name := "snpguard-agent"
	if simulated {
		name = "snpguard-agent-sim"
	}
	agent, err := embedded.ReadFile("bin/" + name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w (%s)", ErrMissing, name)
	}
	return agent, err
}
