package boot

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"regexp"

	"golang.org/x/sys/unix"
)

// Where the machine's ID is (machine-id(5)), and where one lies until systemd can
// write it to the root.
const (
	pathMachineID    = "/etc/machine-id"
	pathRunMachineID = dirRun + "/machine-id"
)

// supplyMachineID gives a root without a valid machine-id a random one: systemd
// would take the one that the host writes to SMBIOS. It is mounted over the file,
// as systemd itself does; systemd-machine-id-commit.service writes it to the root.
func (b *Boot) supplyMachineID() error {
	target := b.Machine.at(pathMachineID)
	found, err := readStart(target, 64)
	if errors.Is(err, fs.ErrNotExist) {
		b.Log.Printf("hand-over", "the root has no %s to put one over", pathMachineID)
		return nil
	}
	if err == nil && validMachineID(found) {
		return nil
	}
	var id [16]byte
	rand.Read(id[:])
	id[6] = id[6]&0x0F | 0x40 // a UUID of version 4,
	id[8] = id[8]&0x3F | 0x80 // variant 1
	source := b.Machine.at(pathRunMachineID)
	if err := os.WriteFile(source, []byte(hex.EncodeToString(id[:])+"\n"), 0o444); err != nil {
		return err
	}
	if err := b.Machine.Mounts.Mount(source, target, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("mount it on %s: %w", pathMachineID, err)
	}
	return b.Machine.Mounts.Mount("", target, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY, "")
}

// validMachineID takes what systemd takes: 32 hexadecimal digits in lower case and
// no more than a line's end, and not zero.
func validMachineID(content []byte) bool {
	ok, err := regexp.Match(`^[0-9a-f]{32}\n?$`, content)
	return ok && err == nil && regexp.MustCompile(`[1-9a-f]`).Match(content)
}

// readStart reads at most n bytes of a file.
func readStart(path string, n int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, n))
}
