package status_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/status"
	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/timeline"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/bootconf"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

func example() *status.Status {
	return &status.Status{
		Format: status.Format, Agent: "1.2.3", ImageID: wire.UUID{1}, Service: "https://a", Report: []byte{1, 2},
		Seconds: 1.5, Steps: []timeline.Step{{Name: "mounts", Seconds: 0.1}},
	}
}

func modes(t *testing.T, path string) {
	t.Helper()
	for p, want := range map[string]os.FileMode{path: 0o600, filepath.Dir(path): 0o700} {
		info, err := os.Stat(p)
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, mode %v", p, err, info.Mode())
		}
	}
}

// initrdWithAgent is the root of an initrd that holds an agent.
func initrdWithAgent(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	path := filepath.Join(root, bootconf.PathAgent)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte("an agent"), 0o700),
		os.WriteFile(filepath.Join(root, bootconf.PathConfig), []byte("{}"), 0o600)); err != nil {
		t.Fatal(err)
	}
	return root
}

// agentIsLeft wants the agent to be where the running system looks for it.
func agentIsLeft(t *testing.T, root string) {
	t.Helper()
	path := filepath.Join(root, bootconf.PathRunAgent)
	content, err := os.ReadFile(path)
	if err != nil || string(content) != "an agent" {
		t.Errorf("agent %q, %v", content, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o755 {
		t.Errorf("agent: %v, %v", info, err)
	}
	if content, err := os.ReadFile(filepath.Join(root, bootconf.PathRunConfig)); err != nil || string(content) != "{}" {
		t.Errorf("configuration %q, %v", content, err)
	}
}

// TestInitrdThatKeepsRun is one with systemd.
func TestInitrdThatKeepsRun(t *testing.T) {
	root := initrdWithAgent(t)
	keep, err := status.Arrange(root, example())
	if err != nil || !keep {
		t.Fatalf("%v, %v", keep, err)
	}
	path := filepath.Join(root, status.Path)
	modes(t, path)
	if got, err := status.Read(path); err != nil || !reflect.DeepEqual(got, example()) {
		t.Errorf("%v, read %+v", err, got)
	}
	agentIsLeft(t, root)
}

// TestInitramfsTools runs the list as that initrd's init does.
func TestInitramfsTools(t *testing.T) {
	root := initrdWithAgent(t)
	order := filepath.Join(root, "scripts/init-bottom/ORDER")
	if err := os.MkdirAll(filepath.Dir(order), 0o700); err != nil {
		t.Fatal(err)
	}
	const before = "/bin/true \"$@\"\n[ -e /conf/param.conf ] && . /conf/param.conf\n"
	if err := os.WriteFile(order, []byte(before), 0o600); err != nil {
		t.Fatal(err)
	}
	keep, err := status.Arrange(root, example())
	if err != nil || keep {
		t.Fatalf("%v, %v", keep, err)
	}
	if _, err := status.Read(filepath.Join(root, status.Path)); !errors.Is(err, status.ErrNone) {
		t.Errorf("it is in a /run that will be hidden: %v", err)
	}
	script, err := os.ReadFile(order)
	if err != nil || string(script) != before+"/snpguard/agent keep\n" {
		t.Errorf("%v, ORDER is %q", err, script)
	}
	// With "echo" in the agent's place.
	out, err := exec.CommandContext(t.Context(), "sh", "-c", strings.ReplaceAll(string(script), "/snpguard/agent", "echo")).CombinedOutput()
	if err != nil || string(out) != "keep\n" {
		t.Errorf("%v, %s", err, out)
	}
	if err := status.Keep(root); err != nil {
		t.Fatal(err)
	}
	modes(t, filepath.Join(root, status.Path))
	if got, err := status.Read(filepath.Join(root, status.Path)); err != nil || !reflect.DeepEqual(got, example()) {
		t.Errorf("%v, read %+v", err, got)
	}
	agentIsLeft(t, root)
}

func TestNoStatus(t *testing.T) {
	root := t.TempDir()
	if err := status.Keep(root); !errors.Is(err, status.ErrNone) {
		t.Errorf("got %v", err)
	}
	path := filepath.Join(root, "s")
	for _, text := range []string{"", "{", `{"format": 2}`} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := status.Read(path); err == nil {
			t.Errorf("%q was taken", text)
		}
	}
}
