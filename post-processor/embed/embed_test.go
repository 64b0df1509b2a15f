package embed

import (
	"errors"
	"testing"

	"github.com/hashicorp/packer-plugin-sdk/packer"

	"github.com/snpguard-go/packer-plugin-snpguard/builder/conversion"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/embed"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/option"
	"github.com/snpguard-go/packer-plugin-snpguard/post-processor/register"
)

func TestFind(t *testing.T) {
	whole := &packer.MockArtifact{StateValues: map[string]any{conversion.StateImage: "web.qcow2", register.StateBundle: "web.tar.gz"}}
	var c Config
	if err := c.find(whole); err != nil || c.Image != "web.qcow2" || c.Bundle != "web.tar.gz" {
		t.Errorf("got %s, %s, %v", c.Image, c.Bundle, err)
	}
	c = Config{Config: embed.Config{Image: "other.qcow2", Bundle: "other.tar"}}
	if err := c.find(whole); err != nil || c.Image != "other.qcow2" || c.Bundle != "other.tar" {
		t.Errorf("got %s, %s, %v", c.Image, c.Bundle, err)
	}
	var wrong *option.Error
	unregistered := &packer.MockArtifact{StateValues: map[string]any{conversion.StateImage: "web.qcow2"}}
	if err := new(Config).find(unregistered); !errors.As(err, &wrong) || wrong.Option != "bundle" {
		t.Errorf("not registered: %v", err)
	}
}

// TestFailureKeeps fails and keeps the artifact.
func TestFailureKeeps(t *testing.T) {
	made, keep, force, err := new(PostProcessor).PostProcess(t.Context(), packer.TestUi(t), &packer.MockArtifact{})
	if made != nil || !keep || !force || err == nil {
		t.Errorf("got %v, %t, %t, %v", made, keep, force, err)
	}
}

func TestPrepare(t *testing.T) {
	var c Config
	if err := c.prepare(map[string]any{"trial": true, "update": true}); err != nil || !c.Trial || !c.Update {
		t.Errorf("got %v, %v", c, err)
	}
	var wrong *option.Error
	if err := new(Config).prepare(map[string]any{"trial": true}); !errors.As(err, &wrong) || wrong.Option != "trial" {
		t.Errorf("a trial with nothing to return to: %v", err)
	}
}
