package api

import (
	"context"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/audit"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/registry"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
)

func wireImage(i store.Image) wire.Image {
	labels := i.Labels
	if labels == nil {
		labels = map[string]string{}
	}
	return wire.Image{
		ID: i.ID, Name: i.Name, Labels: labels, Enabled: i.Enabled, KeepReleases: i.KeepReleases, Simulated: i.Simulated, CreatedAt: i.CreatedAt,
		IDKeyDigest: hex.EncodeToString(i.IDKeyDigest[:]), AuthorKeyDigest: hex.EncodeToString(i.AuthorKeyDigest[:]),
		Policy: i.Policy, Revision: i.PolicyRevision,
		LaunchLimit: wire.LaunchLimit{Max: i.LaunchLimit.Max, Period: int64(i.LaunchLimit.Period / time.Second)},
		Instances:   i.Instances,
	}
}

// wireInstance returns an instance of the image of that name.
func wireInstance(i *store.Instance, image string) wire.Instance {
	hostData := wire.HostData(i.ID)
	out := wire.Instance{
		ID: i.ID, Name: i.Name, ImageID: i.Image, ImageName: image, State: i.State, Enabled: i.Enabled, Auto: i.Auto,
		HostData: hex.EncodeToString(hostData[:]), CreatedAt: i.CreatedAt, CreatedBy: i.CreatedBy,
		GrantedAt: orNull(i.Granted.At), ReadyAt: orNull(i.ReadyAt), BootedAt: orNull(i.Committed.At), Release: i.Granted.Release,
		Generation: i.Generation, Recovery: i.RecoveryHash != [32]byte{},
	}
	if i.State != wire.StateNew {
		out.Sealed = hex.EncodeToString(i.Sealed[:])
	}
	if i.Restore > 0 {
		out.Restore = &wire.Restore{Generation: i.Restore, Until: i.RestoreUntil}
	}
	if !i.DeletedAt.IsZero() {
		gone := i.DeletedAt.Add(store.UndoPeriod)
		out.DeletedAt, out.GoneAt = orNull(i.DeletedAt), &gone
	}
	return out
}

func (a *API) wireRelease(ctx context.Context, r store.Release) (wire.Release, error) {
	return WireRelease(ctx, a.cfg.Registry, r)
}

// WireRelease returns a release as the API shows it.
func WireRelease(ctx context.Context, of *registry.Registry, r store.Release) (wire.Release, error) {
	verified, err := of.Verified(ctx, &r)
	if err != nil {
		return wire.Release{}, err
	}
	provenance, err := registry.Provenance(r)
	if err != nil {
		return wire.Release{}, err
	}
	findings, err := registry.Findings(r)
	if err != nil {
		return wire.Release{}, err
	}
	content := r.ContentHash()
	out := wire.Release{
		ID: r.ID, State: r.State, ProposedBy: r.ProposedBy, ApprovedAt: orNull(r.ApprovedAt), ApprovedBy: r.ApprovedBy, VerifiedBy: r.VerifiedBy,
		DecidedAt: orNull(r.DecidedAt), DecidedBy: r.DecidedBy, Reason: r.Reason,
		ContentHash: hex.EncodeToString(content[:]), CreatedAt: r.CreatedAt, Cmdline: r.Cmdline,
		GuestPolicy: fmt.Sprintf("%#x", r.GuestPolicy), GuestSVN: r.GuestSVN,
		Artifacts: []wire.Artifact{}, Variants: []wire.Variant{}, Policy: r.Policy, Revision: r.PolicyRevision,
		Findings: findings, Provenance: provenance, Verifications: verified,
	}
	if len(out.Policy) == 0 {
		out.Policy = nil // null
	}
	for _, a := range registry.Artifacts(r) {
		out.Artifacts = append(out.Artifacts, wire.Artifact{Name: a.Name, Size: a.Size, SHA256: hex.EncodeToString(a.SHA256[:])})
	}
	for _, v := range r.Variants {
		out.Variants = append(out.Variants, wire.Variant{VCPUs: v.VCPUs, VCPUType: v.VCPUType, Measurement: hex.EncodeToString(v.Measurement[:])})
	}
	return out, nil
}

func wireToken(t store.Token) wire.Token {
	return wire.Token{
		ID: t.ID.String(), Name: t.Name, Role: wire.Role(t.Role), CreatedAt: t.CreatedAt, ExpiresAt: t.ExpiresAt,
		RevokedAt: orNull(t.RevokedAt), LastUsedAt: orNull(t.LastUsedAt),
	}
}

// orNull returns nil for no time at all.
func orNull(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

func wireHead(h audit.Head) wire.AuditHead {
	return wire.AuditHead{Seq: h.Seq, Hash: hex.EncodeToString(h.Hash[:])}
}

func wireRecord(e audit.Entry) wire.AuditRecord {
	return wire.AuditRecord{
		Seq: e.Seq, Time: e.Time, Kind: e.Kind, Outcome: e.Outcome, Reason: string(e.Reason),
		Rule: e.Rule, Expected: e.Expected, Found: e.Found,
		RequestID: e.RequestID, Address: e.Address, Actor: e.Actor,
		ImageID: idOrEmpty(e.ImageID), ReleaseID: idOrEmpty(e.ReleaseID), InstanceID: idOrEmpty(e.InstanceID),
		ChipID: hex.EncodeToString(e.ChipID), TCB: e.TCB, Report: e.Report, Details: e.Details, Count: e.Count,
		PrevHash: hex.EncodeToString(e.PrevHash[:]), Hash: hex.EncodeToString(e.Hash[:]),
	}
}

func idOrEmpty(id wire.UUID) string {
	if id.IsZero() {
		return ""
	}
	return id.String()
}
