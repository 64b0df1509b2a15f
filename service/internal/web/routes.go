package web

import (
	"net/http"
	"slices"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/access"
)

// route says what has to be so before its handler runs.
type route struct {
	method, path string
	op           access.Operation // whose role is needed
	public       bool             // for those who are not logged in, too
	stream       bool             // it reads the body, and its token, by itself
	timeout      time.Duration    // quick when zero
	handle       func(rw http.ResponseWriter, r *request) error
}

// Time limits of handlers.
const (
	quick = 15 * time.Second
	slow  = 10 * time.Minute // reads all of the audit log, or a large file
)

// table is every page and action. Those with GET change nothing.
func (w *Web) table() []route { return slices.Concat(w.pageTable(), w.instanceTable()) }

// instanceTable is those of instances.
func (w *Web) instanceTable() []route {
	const instance = "/instances/:iid"
	return []route{
		{method: "GET", path: "/instances", op: access.ReadInstances, handle: w.listInstances},
		{method: "POST", path: "/instances", op: access.CreateInstance, handle: w.createInstance},
		{method: "GET", path: instance, op: access.ReadInstances, handle: w.showInstance},
		{method: "POST", path: instance + "/enabled", op: access.ChangeInstance, handle: w.enableInstance},
		{method: "POST", path: instance + "/reset", op: access.ResetInstance, handle: w.resetInstance},
		{method: "POST", path: instance + "/restore", op: access.AllowRestore, handle: w.allowRestore},
		{method: "POST", path: instance + "/recovery", op: access.ReadRecovery, handle: w.downloadRecovery},
		{method: "POST", path: instance + "/delete", op: access.DeleteInstance, handle: w.deleteInstance},
		{method: "POST", path: instance + "/undelete", op: access.UndeleteInstance, handle: w.undeleteInstance},
	}
}

// pageTable is all the others.
func (w *Web) pageTable() []route {
	const release = "/images/:id/releases/:rid"
	return []route{
		{method: "GET", path: "/", op: access.ReadStatus, handle: w.overview},
		{method: "GET", path: "/assets/:name", public: true, handle: w.asset},
		{method: "GET", path: "/login", public: true, handle: w.showLogin},
		{method: "POST", path: "/login", public: true, timeout: time.Minute, handle: w.login},
		{method: "POST", path: "/logout", op: access.LogOut, handle: w.logout},

		{method: "GET", path: "/images", op: access.ReadImages, handle: w.listImages},
		{method: "GET", path: "/images/:id", op: access.ReadImages, handle: w.showImage},
		{method: "POST", path: "/images/:id/edit", op: access.ChangeImage, handle: w.editImage},
		{method: "POST", path: "/images/:id/enabled", op: access.ChangeImage, handle: w.enableImage},
		{method: "POST", path: "/images/:id/delete", timeout: time.Minute, op: access.DeleteImage, handle: w.deleteImage},
		{method: "POST", path: "/images/:id/floors", op: access.ChangeImage, handle: w.changeFloors},
		{method: "POST", path: "/images/:id/policy", op: access.ChangeImage, handle: w.changeImagePolicy},
		{method: "POST", path: "/images/:id/limit", op: access.ChangeImage, handle: w.changeLimit},
		{method: "POST", path: "/images/:id/instances", op: access.ChangeImage, handle: w.changeInstances},
		{method: "GET", path: release, op: access.ReadImages, handle: w.showRelease},
		{method: "POST", path: release + "/approval", op: access.ApproveRelease, handle: w.decide(w.approve())},
		{method: "POST", path: release + "/rejection", op: access.RejectRelease, handle: w.decide(w.reject())},
		{method: "POST", path: release + "/retirement", op: access.RetireRelease, handle: w.decide(w.retire())},
		{method: "POST", path: release + "/restoration", op: access.RestoreRelease, handle: w.decide(w.restore())},
		{method: "POST", path: release + "/policy", op: access.ChangeRelease, handle: w.changeReleasePolicy},
		{method: "POST", path: release + "/delete", timeout: time.Minute, op: access.DeleteRelease, handle: w.deleteRelease},
		{method: "GET", path: release + "/diff", op: access.ReadImages, handle: w.showDiff},
		{method: "GET", path: release + "/bundle", timeout: slow, op: access.ExportRelease, handle: w.downloadBundle},
		{method: "GET", path: release + "/artifacts/:name", timeout: slow, op: access.ExportRelease, handle: w.downloadArtifact},
		{method: "GET", path: "/register", op: access.RegisterImage, handle: w.showRegister},
		{method: "POST", path: "/register", stream: true, timeout: time.Hour, op: access.RegisterImage, handle: w.register},

		{method: "GET", path: "/channels", op: access.ReadImages, handle: w.listChannels},
		{method: "POST", path: "/channels", op: access.SetChannel, handle: w.setChannel},
		{method: "POST", path: "/channels/delete", op: access.DeleteChannel, handle: w.deleteChannel},

		{method: "GET", path: "/audit", op: access.ReadAudit, handle: w.listAudit},
		{method: "GET", path: "/audit/export", timeout: slow, op: access.ExportAudit, handle: w.exportAudit},
		{method: "POST", path: "/audit/verify", timeout: slow, op: access.VerifyAudit, handle: w.verifyAudit},
		{method: "GET", path: "/records/:seq", op: access.ReadAudit, handle: w.showRecord},

		{method: "GET", path: "/inspect", op: access.ReadAudit, handle: w.showInspector},
		{method: "POST", path: "/inspect", stream: true, timeout: time.Minute, op: access.ReadAudit, handle: w.inspect},

		{method: "GET", path: "/tokens", op: access.ReadTokens, handle: w.listTokens},
		{method: "POST", path: "/tokens", op: access.CreateToken, handle: w.createToken},
		{method: "POST", path: "/tokens/:id/revoke", op: access.RevokeToken, handle: w.revokeToken},

		{method: "GET", path: "/settings", op: access.ReadKDS, handle: w.showSettings},
		{method: "GET", path: "/settings/ca.pem", op: access.ReadKDS, handle: w.downloadCA},
		{method: "POST", path: "/settings/password", timeout: time.Minute, op: access.ChangePassword, handle: w.changePassword},
		{method: "GET", path: "/settings/kds.tar.gz", timeout: slow, op: access.ExportKDS, handle: w.exportKDS},
		{method: "POST", path: "/settings/kds", stream: true, timeout: slow, op: access.ImportKDS, handle: w.importKDS},
	}
}
