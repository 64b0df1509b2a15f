package instancetest

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"net/http"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/seal"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// call takes a call from the latest boot of an instance alone.
func (s *Service) call(kind wire.Call, r *http.Request, do func(*Instance, wire.UUID, [64]byte, []byte) (any, string)) (answer any, denied string) {
	var request wire.BootCall
	if json.NewDecoder(r.Body).Decode(&request) != nil || request.Validate() != nil || !s.used(request.Nonce) {
		return nil, "malformed"
	}
	id := wire.HostInstance(hostData(request.Report))
	data := wire.CallBinding{Nonce: request.Nonce, Image: s.Image, Instance: id, Body: hash(request.Body)}.ReportData(kind)
	row := s.Instances[id]
	switch {
	case !bytes.Equal(request.Report[OffsetReportData:][:64], data[:]):
		return nil, "report_data"
	case row == nil:
		return nil, "instance_unknown"
	case row.latest.report != [32]byte(request.Report[OffsetReportID:]):
		return nil, "boot_superseded"
	case !ed25519.Verify(row.latest.key[:], wire.BootCallTranscript(data), request.BootSignature):
		return nil, "boot_key"
	}
	body, denied := do(row, id, data, request.Body)
	if denied != "" {
		return nil, denied
	}
	encoded, err := json.Marshal(body)
	if err != nil {
		panic(err)
	}
	signed := &wire.GuestAnswer{Body: encoded, Signature: ed25519.Sign(s.Identity, wire.AnswerTranscript(kind, data, encoded))}
	if s.Signed != nil {
		s.Signed(signed)
	}
	return signed, ""
}

func (s *Service) claim(row *Instance, id wire.UUID, data [64]byte, body []byte) (answer any, denied string) {
	var request wire.ClaimRequest
	if json.Unmarshal(body, &request) != nil || request.Validate() != nil {
		return nil, "malformed"
	}
	sealed := hash(request.Sealed)
	switch {
	case row.State == wire.StateNew:
		row.State, row.Sealed = wire.StateClaimed, sealed
	case row.State != wire.StateClaimed || row.Sealed != sealed:
		return nil, "instance_claimed"
	}
	key, err := seal.ParsePublicKey(request.PublicKey)
	if err != nil {
		return nil, "malformed"
	}
	share, err := key.Seal(wire.ShareInfo(data), row.Share)
	if err != nil {
		panic(err)
	}
	claimed := wire.ClaimAnswer{
		InstanceAnswer: wire.InstanceAnswer{Instance: id, State: wire.StateClaimed}, Share: share,
		Receipt: ed25519.Sign(s.Identity, wire.ReceiptTranscript(s.Image, id, sealed)),
	}
	if s.Answer != nil {
		s.Answer(wire.CallClaim, &claimed)
	}
	return claimed, ""
}

func (s *Service) ready(row *Instance, id wire.UUID, _ [64]byte, body []byte) (answer any, denied string) {
	var request wire.ReadyRequest
	if json.Unmarshal(body, &request) != nil || request.Validate() != nil {
		return nil, "malformed"
	}
	if row.State == wire.StateNew || !bytes.Equal(row.Sealed[:], request.Sealed) || (row.State == wire.StateReady && row.Generation != request.Generation) {
		return nil, "instance_state"
	}
	row.State, row.Generation, row.Recovery = wire.StateReady, request.Generation, request.Recovery
	return s.standing(wire.CallReady, row, id), ""
}

func (s *Service) commit(row *Instance, id wire.UUID, _ [64]byte, body []byte) (answer any, denied string) {
	var request wire.CommitRequest
	if json.Unmarshal(body, &request) != nil || request.Validate() != nil {
		return nil, "malformed"
	}
	if row.State != wire.StateReady || request.Generation != row.granted+1 {
		return nil, "generation"
	}
	row.Generation = request.Generation
	return s.standing(wire.CallCommit, row, id), ""
}

func (s *Service) standing(call wire.Call, row *Instance, id wire.UUID) wire.InstanceAnswer {
	answer := wire.ClaimAnswer{InstanceAnswer: wire.InstanceAnswer{Instance: id, State: row.State, Generation: row.Generation}}
	if s.Answer != nil {
		s.Answer(call, &answer)
	}
	return answer.InstanceAnswer
}
