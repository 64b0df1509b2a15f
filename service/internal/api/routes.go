package api

import (
	"net/http"
	"slices"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/access"
)

// route says what has to be so before its handler runs.
type route struct {
	method, path string
	op           access.Operation // whose role is needed; empty: for anyone
	attestation  bool             // guests call it: limited by the rate of attestation
	login        bool             // takes a password: limited by the rate of failures
	body         body             // the zero value: it takes none
	timeout      time.Duration    // for the handler; zero: it streams and has its own
	handle       func(w http.ResponseWriter, r *request) error
}

// body says what a route takes.
type body struct {
	contentType string
	most        int64 // bytes
	optional    bool
}

// Time limits of handlers.
const (
	quick = 15 * time.Second
	slow  = 10 * time.Minute // reads all of the audit log or of the KDS cache
)

// Limits of bodies, in bytes.
const (
	maxSmallBody  = 16 << 10
	maxPolicyBody = 128 << 10 // a report policy within JSON
	maxKDSArchive = 256 << 20
)

func small() body        { return body{contentType: typeJSON, most: maxSmallBody} }
func optionalBody() body { return body{contentType: typeJSON, most: maxSmallBody, optional: true} }

// table is every path of the API.
func (a *API) table() []route {
	return slices.Concat(a.guestTable(), a.imageTable(), a.instanceTable(), a.operatorTable())
}

// guestTable is what guests ask.
func (a *API) guestTable() []route {
	return []route{
		{method: "POST", path: wire.PathChallenge, attestation: true, timeout: quick, handle: a.challenge},
		{
			method: "POST", path: wire.PathUnlock, attestation: true, timeout: time.Minute, handle: a.unlock,
			body: body{contentType: typeJSON, most: wire.MaxUnlockBody},
		},
		{
			method: "POST", path: wire.PathUpdate, attestation: true, timeout: time.Minute, handle: a.update,
			body: body{contentType: typeJSON, most: wire.MaxGuestCall},
		},
		{
			method: "POST", path: wire.PathConfirm, attestation: true, timeout: time.Minute, handle: a.confirm,
			body: body{contentType: typeJSON, most: wire.MaxGuestCall},
		},
		bootRoute(wire.PathClaim, a.claim),
		bootRoute(wire.PathReady, a.ready),
		bootRoute(wire.PathCommit, a.commit),
		{method: "POST", path: wire.PathBundle, attestation: true, body: small(), handle: a.guestBundle},
	}
}

// bootRoute is a call of an instance's boot.
func bootRoute(path string, handle func(w http.ResponseWriter, r *request) error) route {
	return route{
		method: "POST", path: path, attestation: true, timeout: time.Minute, handle: handle,
		body: body{contentType: typeJSON, most: wire.MaxBootCall},
	}
}

// imageTable is what operators do with images, their releases and channels.
func (a *API) imageTable() []route {
	const images, releases = wire.PathImages, wire.PathImages + "/:id/releases"
	const channel = wire.PathChannels + "/:family/:name"
	upload := body{contentType: typeMultipart, most: a.cfg.Registry.MaxUpload() + maxMultipartOverhead}
	return []route{
		{method: "GET", path: images, op: access.ReadImages, timeout: quick, handle: a.listImages},
		{method: "POST", path: images, op: access.RegisterImage, body: upload, handle: a.registerImage},
		{method: "GET", path: images + "/:id", op: access.ReadImages, timeout: quick, handle: a.showImage},
		{method: "PATCH", path: images + "/:id", op: access.ChangeImage, timeout: quick, handle: a.patchImage, body: body{contentType: typeJSON, most: maxPolicyBody}},
		{method: "GET", path: images + "/:id/machines", op: access.ReadImages, timeout: quick, handle: a.listMachines},
		{method: "GET", path: images + "/:id/fleet", op: access.ReadImages, timeout: quick, handle: a.showFleet},
		{method: "DELETE", path: images + "/:id", op: access.DeleteImage, timeout: time.Minute, handle: a.deleteImage},
		{method: "POST", path: releases, op: access.RegisterRelease, body: upload, handle: a.registerRelease},
		{method: "GET", path: releases + "/:rid", op: access.ReadImages, timeout: quick, handle: a.showRelease},
		{
			method: "PATCH", path: releases + "/:rid", op: access.ChangeRelease, timeout: quick, handle: a.patchRelease,
			body: body{contentType: typeJSON, most: maxPolicyBody},
		},
		{method: "POST", path: releases + "/:rid/approval", op: access.ApproveRelease, body: small(), timeout: quick, handle: decided(a, a.cfg.Registry.Approve)},
		{method: "POST", path: releases + "/:rid/rejection", op: access.RejectRelease, body: small(), timeout: quick, handle: decided(a, a.cfg.Registry.Reject)},
		{method: "POST", path: releases + "/:rid/retirement", op: access.RetireRelease, body: small(), timeout: quick, handle: decided(a, a.cfg.Registry.Retire)},
		{method: "POST", path: releases + "/:rid/restoration", op: access.RestoreRelease, body: small(), timeout: quick, handle: decided(a, a.cfg.Registry.Restore)},
		{method: "POST", path: releases + "/:rid/verification", op: access.VerifyRelease, body: small(), timeout: quick, handle: decided(a, a.cfg.Registry.Verify)},
		{method: "GET", path: releases + "/:rid/use", op: access.ReadImages, timeout: quick, handle: a.showUse},
		{method: "DELETE", path: releases + "/:rid", op: access.DeleteRelease, timeout: time.Minute, handle: a.deleteRelease},
		{method: "GET", path: releases + "/:rid/bundle", op: access.ExportRelease, handle: a.bundle},
		{method: "GET", path: releases + "/:rid/artifacts/:name", op: access.ExportRelease, handle: a.artifact},

		{method: "GET", path: wire.PathChannels, op: access.ReadImages, timeout: quick, handle: a.listChannels},
		{method: "GET", path: channel, op: access.ReadImages, timeout: quick, handle: a.showChannel},
		{method: "PUT", path: channel, op: access.SetChannel, body: small(), timeout: quick, handle: a.setChannel},
		{method: "DELETE", path: channel, op: access.DeleteChannel, timeout: quick, handle: a.deleteChannel},
	}
}

// instanceTable is what operators do with instances.
func (a *API) instanceTable() []route {
	const instances, instance = wire.PathInstances, wire.PathInstances + "/:id"
	registry := a.cfg.Registry
	return []route{
		{method: "GET", path: instances, op: access.ReadInstances, timeout: quick, handle: a.listInstances},
		{method: "POST", path: instances, op: access.CreateInstance, body: small(), timeout: quick, handle: a.createInstance},
		{method: "GET", path: instance, op: access.ReadInstances, timeout: quick, handle: a.showInstance},
		{method: "PATCH", path: instance, op: access.ChangeInstance, body: small(), timeout: quick, handle: changedBy(a, registry.PatchInstance)},
		{method: "DELETE", path: instance, op: access.DeleteInstance, timeout: quick, handle: a.deleteInstance},
		{method: "POST", path: instance + "/reset", op: access.ResetInstance, timeout: quick, handle: a.changed(registry.ResetInstance)},
		{method: "POST", path: instance + "/adopt", op: access.AdoptInstance, body: small(), timeout: quick, handle: changedBy(a, registry.AdoptInstance)},
		{method: "POST", path: instance + "/allow-restore", op: access.AllowRestore, body: small(), timeout: quick, handle: changedBy(a, registry.AllowRestore)},
		{method: "POST", path: instance + "/undelete", op: access.UndeleteInstance, timeout: quick, handle: a.changed(registry.UndeleteInstance)},
		{method: "GET", path: instance + "/recovery", op: access.ReadRecovery, timeout: quick, handle: a.recovery},
	}
}

// operatorTable is the rest: the public pages, and what operators do with the service.
func (a *API) operatorTable() []route {
	return []route{
		{method: "GET", path: wire.PathPublicInfo, timeout: quick, handle: a.publicInfo},
		{method: "GET", path: wire.PathOpenAPI, timeout: quick, handle: a.openAPI},

		{method: "GET", path: wire.PathTokens, op: access.ReadTokens, timeout: quick, handle: a.listTokens},
		{method: "POST", path: wire.PathTokens, op: access.CreateToken, body: small(), timeout: quick, handle: a.createToken},
		{method: "DELETE", path: wire.PathTokens + "/:id", op: access.RevokeToken, timeout: quick, handle: a.revokeToken},

		{method: "GET", path: wire.PathAudit, op: access.ReadAudit, timeout: maxWait + quick, handle: a.listAudit},
		{method: "GET", path: wire.PathAudit + "/export", op: access.ExportAudit, handle: a.exportAudit},
		{method: "POST", path: wire.PathAudit + "/verify", op: access.VerifyAudit, body: optionalBody(), timeout: slow, handle: a.verifyAudit},

		{method: "GET", path: wire.PathKDS, op: access.ReadKDS, timeout: quick, handle: a.showKDS},
		{method: "GET", path: wire.PathKDS + "/export", op: access.ExportKDS, handle: a.exportKDS},
		{
			method: "POST", path: wire.PathKDS + "/import", op: access.ImportKDS, handle: a.importKDS,
			body: body{contentType: typeGzip, most: maxKDSArchive},
		},

		{method: "GET", path: wire.PathStatus, op: access.ReadStatus, timeout: quick, handle: a.showStatus},
		{method: "POST", path: wire.PathSession, login: true, body: small(), timeout: time.Minute, handle: a.login},
		{method: "DELETE", path: wire.PathSession, op: access.LogOut, timeout: quick, handle: a.logout},
		{method: "POST", path: wire.PathPassword, op: access.ChangePassword, body: small(), timeout: time.Minute, handle: a.changePassword},
	}
}
