package registry

import (
	"strings"

	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/access"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
)

// Limits of labels, in bytes.
const (
	MaxLabel        = 64
	maxLabelContent = store.MaxLabel
)

// checkLabels wants labels like a.b/c-d_e and printable contents.
func checkLabels(labels map[string]string) error {
	if len(labels) > store.MaxLabels {
		return refused("an image can have at most %d labels", store.MaxLabels)
	}
	for label, content := range labels {
		if label == "" || len(label) > MaxLabel || strings.ContainsFunc(label, notLabel) {
			return refused("label %.80q: want 1 to %d letters, digits and . _ - /", label, MaxLabel)
		}
		if len(content) > maxLabelContent {
			return refused("label %s has more than %d bytes", label, maxLabelContent)
		}
		if err := access.CheckText("label", content); err != nil {
			return err
		}
	}
	return nil
}

func notLabel(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("._-/", r)
}
