package web

import (
	"net/http"
	"time"
)

// route says what has to be so before its handler runs.
type route struct {
	method, path string
	public       bool          // for those who are not logged in, too
	stream       bool          // it reads the body, and its token, by itself
	timeout      time.Duration // quick when zero
	handle       func(rw http.ResponseWriter, r *request) error
}

// Time limits of handlers.
const (
	quick = 15 * time.Second
	slow  = 10 * time.Minute // reads all of the audit log, or a large file
)

// table is every page and action. Those with GET change nothing.
func (w *Web) table() []route {
	const release = "/images/:id/releases/:rid"
	return []route{
		{method: "GET", path: "/", handle: w.overview},
		{method: "GET", path: "/assets/:name", public: true, handle: w.asset},
		{method: "GET", path: "/login", public: true, handle: w.showLogin},
		{method: "POST", path: "/login", public: true, timeout: time.Minute, handle: w.login},
		{method: "POST", path: "/logout", handle: w.logout},

		{method: "GET", path: "/images", handle: w.listImages},
		{method: "GET", path: "/images/:id", handle: w.showImage},
		{method: "POST", path: "/images/:id/edit", handle: w.editImage},
		{method: "POST", path: "/images/:id/enabled", handle: w.enableImage},
		{method: "POST", path: "/images/:id/delete", timeout: time.Minute, handle: w.deleteImage},
		{method: "POST", path: "/images/:id/floors", handle: w.changeFloors},
		{method: "POST", path: "/images/:id/policy", handle: w.changeImagePolicy},
		{method: "POST", path: "/images/:id/limit", handle: w.changeLimit},
		{method: "GET", path: release, handle: w.showRelease},
		{method: "POST", path: release + "/enabled", handle: w.enableRelease},
		{method: "POST", path: release + "/approval", handle: w.approveRelease},
		{method: "POST", path: release + "/policy", handle: w.changeReleasePolicy},
		{method: "POST", path: release + "/delete", timeout: time.Minute, handle: w.deleteRelease},
		{method: "GET", path: release + "/bundle", timeout: slow, handle: w.downloadBundle},
		{method: "GET", path: release + "/artifacts/:name", timeout: slow, handle: w.downloadArtifact},
		{method: "GET", path: "/register", handle: w.showRegister},
		{method: "POST", path: "/register", stream: true, timeout: time.Hour, handle: w.register},

		{method: "GET", path: "/audit", handle: w.listAudit},
		{method: "GET", path: "/audit/export", timeout: slow, handle: w.exportAudit},
		{method: "POST", path: "/audit/verify", timeout: slow, handle: w.verifyAudit},
		{method: "GET", path: "/records/:seq", handle: w.showRecord},

		{method: "GET", path: "/inspect", handle: w.showInspector},
		{method: "POST", path: "/inspect", stream: true, timeout: time.Minute, handle: w.inspect},

		{method: "GET", path: "/tokens", handle: w.listTokens},
		{method: "POST", path: "/tokens", handle: w.createToken},
		{method: "POST", path: "/tokens/:id/revoke", handle: w.revokeToken},

		{method: "GET", path: "/settings", handle: w.showSettings},
		{method: "GET", path: "/settings/ca.pem", handle: w.downloadCA},
		{method: "POST", path: "/settings/password", timeout: time.Minute, handle: w.changePassword},
		{method: "GET", path: "/settings/kds.tar.gz", timeout: slow, handle: w.exportKDS},
		{method: "POST", path: "/settings/kds", stream: true, timeout: slow, handle: w.importKDS},
	}
}
