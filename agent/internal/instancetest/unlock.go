package instancetest

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"net/http"
	"slices"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/seal"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

func (s *Service) unlock(r *http.Request) (answer any, denied string) {
	var request wire.UnlockRequest
	if json.NewDecoder(r.Body).Decode(&request) != nil || request.Validate() != nil || !s.used(request.Nonce) {
		return nil, "malformed"
	}
	id := wire.HostInstance(hostData(request.Report))
	data := wire.UnlockBinding{
		Nonce: request.Nonce, PublicKey: request.PublicKey, BootKey: request.BootKey, Image: s.Image, Instance: id,
		SealedVMK: hash(request.SealedVMK), Disk: request.Disk.Hash(),
	}.ReportData()
	if !bytes.Equal(request.Report[OffsetReportData:][:64], data[:]) {
		return nil, "report_data"
	}
	g := wire.Grant{Time: now(), State: wire.StateNone}
	keys := s.Golden
	if row := s.Instances[id]; !s.None {
		if row == nil {
			return nil, "instance_unknown"
		}
		if keys, denied = s.keys(row, id, &request.Disk); denied != "" {
			return nil, denied
		}
		row.latest = boot{[32]byte(request.Report[OffsetReportID:]), [wire.BootKeySize]byte(request.BootKey)}
		g.State, g.Instance = row.State, id
		if row.State == wire.StateReady {
			g.Generation = row.granted
		}
	}
	return s.grant(&g, data, request.PublicKey, keys), ""
}

// keys are those of the state, when the disk shows what it must.
func (s *Service) keys(row *Instance, id wire.UUID, disk *wire.InstanceDisk) (keys []byte, denied string) {
	if row.State == wire.StateNew {
		return s.Golden, ""
	}
	at := slices.IndexFunc(disk.Sealed, func(sealed []byte) bool { return hash(sealed) == row.Sealed })
	if at < 0 {
		return nil, "instance_key"
	}
	secret, err := s.Unsealing.Open(wire.GuestSecretInfo(s.Image, id), disk.Sealed[at])
	if err != nil {
		return nil, "instance_key"
	}
	volume, err := wire.VolumeKey(secret, row.Share, s.Image, id)
	if err != nil {
		return nil, "instance_key"
	}
	if row.State == wire.StateClaimed {
		return slices.Concat(s.Golden, volume), ""
	}
	row.granted = row.Generation
	for _, g := range disk.Generations {
		if mac, err := wire.GenerationMAC(volume, s.Image, id, g.Number); err == nil && bytes.Equal(mac[:], g.MAC) {
			row.granted = max(row.granted, g.Number)
		}
	}
	return volume, ""
}

func (s *Service) grant(g *wire.Grant, data [64]byte, public, keys []byte) *wire.Grant {
	if s.Grant != nil {
		s.Grant(g)
	}
	key, err := seal.ParsePublicKey(public)
	if err != nil {
		panic(err)
	}
	sealed, err := key.Seal(wire.GrantInfo(data), keys)
	if err != nil {
		panic(err)
	}
	g.Enc, g.Ciphertext = sealed[:wire.EncSize], sealed[wire.EncSize:]
	g.Signature = ed25519.Sign(s.Identity, wire.GrantTranscript(data, g))
	return g
}
