package update

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/google/renameio/v2"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/strictjson"
)

// PathSettings is where root says how updates go on. It need not be there.
const PathSettings = "/etc/snpguard/update.json"

// dirState holds what the agent keeps, and bundles while they come in.
const dirState = "/var/lib/snpguard"

// When the machine reboots into a release that was written.
const (
	RebootNever = "never" // whoever administers it does
	RebootNow   = "now"
)

// Settings is the file PathSettings.
type Settings struct {
	Reboot string `json:"reboot"` // RebootNever, RebootNow or a time of day such as "04:30"
}

// ReadSettings reads the settings under root; without a file nothing reboots.
func ReadSettings(root string) (Settings, error) {
	s := Settings{Reboot: RebootNever}
	if err := readJSON(filepath.Join(root, PathSettings), &s); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Settings{}, fmt.Errorf("read %s: %w", PathSettings, err)
	}
	if s.Reboot == RebootNever || s.Reboot == RebootNow {
		return s, nil
	}
	if at, err := time.Parse("15:04", s.Reboot); err != nil || at.Format("15:04") != s.Reboot {
		return Settings{}, fmt.Errorf("%s: reboot is %q, want %s, %s or a time of day such as 04:30", PathSettings, s.Reboot, RebootNever, RebootNow)
	}
	return s, nil
}

// trial is a release that was written and has to boot.
type trial struct {
	Release wire.UUID `json:"release"`
	Boot    string    `json:"boot"` // boot_id of the boot that wrote it
}

// trialPath is where it is kept, so that a release that does not come up is not
// tried again and again.
func trialPath(root string) string { return filepath.Join(root, dirState, "trial.json") }

// readTrial returns the zero value when there is none.
func readTrial(root string) (t trial, err error) {
	if err := readJSON(trialPath(root), &t); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return trial{}, fmt.Errorf("read %s/trial.json: %w", dirState, err)
	}
	return t, nil
}

func (t trial) write(root string) error {
	encoded, err := json.Marshal(t)
	if err != nil {
		return err
	}
	return renameio.WriteFile(trialPath(root), append(encoded, '\n'), 0o600, renameio.WithTempDir(filepath.Dir(trialPath(root))))
}

// forgetTrial is for a release that has booted.
func forgetTrial(root string) error {
	if err := os.Remove(trialPath(root)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// maxFile bounds the small files that are read here, in bytes.
const maxFile = 64 << 10

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(content) > maxFile {
		err = fmt.Errorf("more than %d bytes", maxFile)
	}
	return content, err
}

func readJSON(path string, out any) error {
	content, err := readFile(path)
	if err != nil {
		return err
	}
	return strictjson.Decode(content, out)
}
