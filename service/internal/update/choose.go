package update

import (
	"context"
	"encoding/hex"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/versions"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/unlock"
)

// inForce reports whether guests of a release are given their keys.
func inForce(r *store.Release) bool { return r.State == wire.StateApproved }

// newer reports whether a kernel is newer than the one that runs.
func newer(release, running string) bool { return versions.Compare(release, running) > 0 }

// answer finds the newest release in force, newer than the one that runs, whose kernel
// is installed with its modules.
func (s *Service) answer(ctx context.Context, guest *unlock.Proven, asks *wire.UpdateRequest) (*wire.UpdateAnswer, error) {
	usable, hashes := map[string]string{}, [][32]byte{} // SHA-256 in hexadecimal to release
	for _, k := range asks.Kernels {
		var sum [32]byte
		if _, err := hex.Decode(sum[:], []byte(k.SHA256)); err == nil && k.Modules {
			usable[k.SHA256] = k.Release
			hashes = append(hashes, sum)
		}
	}
	releases, err := s.Fleet.ReleasesOfKernels(ctx, guest.Launch.Image.ID, hashes)
	if err != nil {
		return nil, err
	}
	running := &guest.Launch.Release
	answer, has := &wire.UpdateAnswer{State: wire.UpdateNone}, map[string]bool{}
	for i := range releases {
		r := &releases[i]
		if !inForce(r) {
			continue
		}
		sum := hex.EncodeToString(r.Kernel.SHA256[:])
		has[sum] = true
		if answer.Available == nil && r.ID != running.ID && r.ID != asks.Failed && r.CreatedAt.After(running.CreatedAt) {
			answer.State = wire.UpdateAvailable
			answer.Available = &wire.AvailableRelease{
				Release: r.ID, Kernel: usable[sum], SHA256: sum, Size: r.Firmware.Size + r.Kernel.Size + r.Initrd.Size,
				Ticket: s.newTicket(r.ImageID, r.ID),
			}
		}
	}
	for _, k := range asks.Kernels {
		if k.Modules && !has[k.SHA256] && newer(k.Release, asks.Running) {
			answer.Waiting = append(answer.Waiting, k.Release)
		}
	}
	if answer.Available == nil && len(answer.Waiting) > 0 {
		answer.State = wire.UpdateWaiting
	}
	return answer, nil
}
