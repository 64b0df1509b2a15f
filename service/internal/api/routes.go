package api

import (
	"net/http"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// route says what has to be so before its handler runs.
type route struct {
	method, path string
	role         wire.Role     // needed; empty: for anyone
	attestation  bool          // guests call it: limited by the rate of attestation
	login        bool          // takes a password: limited by the rate of failures
	body         body          // the zero value: it takes none
	timeout      time.Duration // for the handler; zero: it streams and has its own
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
	const images, releases = wire.PathImages, wire.PathImages + "/:id/releases"
	const read, register, admin = wire.RoleRead, wire.RoleRegister, wire.RoleAdmin
	upload := body{contentType: typeMultipart, most: a.Registry.MaxUpload() + maxMultipartOverhead}
	return []route{
		{method: "POST", path: wire.PathChallenge, attestation: true, timeout: quick, handle: a.challenge},
		{
			method: "POST", path: wire.PathUnlock, attestation: true, timeout: time.Minute, handle: a.unlock,
			body: body{contentType: typeJSON, most: wire.MaxUnlockBody},
		},
		{method: "GET", path: wire.PathPublicInfo, timeout: quick, handle: a.publicInfo},
		{method: "GET", path: wire.PathOpenAPI, timeout: quick, handle: a.openAPI},

		{method: "GET", path: images, role: read, timeout: quick, handle: a.listImages},
		{method: "POST", path: images, role: register, body: upload, handle: a.registerImage},
		{method: "GET", path: images + "/:id", role: read, timeout: quick, handle: a.showImage},
		{method: "PATCH", path: images + "/:id", role: admin, timeout: quick, handle: a.patchImage, body: body{contentType: typeJSON, most: maxPolicyBody}},
		{method: "DELETE", path: images + "/:id", role: admin, timeout: time.Minute, handle: a.deleteImage},
		{method: "POST", path: releases, role: register, body: upload, handle: a.registerRelease},
		{method: "GET", path: releases + "/:rid", role: read, timeout: quick, handle: a.showRelease},
		{
			method: "PATCH", path: releases + "/:rid", role: admin, timeout: quick, handle: a.patchRelease,
			body: body{contentType: typeJSON, most: maxPolicyBody},
		},
		{method: "POST", path: releases + "/:rid/approval", role: admin, body: small(), timeout: quick, handle: a.approveRelease},
		{method: "DELETE", path: releases + "/:rid", role: admin, timeout: time.Minute, handle: a.deleteRelease},
		{method: "GET", path: releases + "/:rid/bundle", role: register, handle: a.bundle},
		{method: "GET", path: releases + "/:rid/artifacts/:name", role: register, handle: a.artifact},

		{method: "GET", path: wire.PathTokens, role: admin, timeout: quick, handle: a.listTokens},
		{method: "POST", path: wire.PathTokens, role: admin, body: small(), timeout: quick, handle: a.createToken},
		{method: "DELETE", path: wire.PathTokens + "/:id", role: admin, timeout: quick, handle: a.revokeToken},

		{method: "GET", path: wire.PathAudit, role: read, timeout: maxWait + quick, handle: a.listAudit},
		{method: "GET", path: wire.PathAudit + "/export", role: read, handle: a.exportAudit},
		{method: "POST", path: wire.PathAudit + "/verify", role: read, body: optionalBody(), timeout: slow, handle: a.verifyAudit},

		{method: "GET", path: wire.PathKDS, role: read, timeout: quick, handle: a.showKDS},
		{method: "GET", path: wire.PathKDS + "/export", role: read, handle: a.exportKDS},
		{
			method: "POST", path: wire.PathKDS + "/import", role: admin, handle: a.importKDS,
			body: body{contentType: typeGzip, most: maxKDSArchive},
		},

		{method: "GET", path: wire.PathStatus, role: read, timeout: quick, handle: a.showStatus},
		{method: "POST", path: wire.PathSession, login: true, body: small(), timeout: time.Minute, handle: a.login},
		{method: "DELETE", path: wire.PathSession, role: read, timeout: quick, handle: a.logout},
		{method: "POST", path: wire.PathPassword, role: admin, body: small(), timeout: time.Minute, handle: a.changePassword},
	}
}
