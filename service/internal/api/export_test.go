package api

import (
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/access"
)

// Route is a row of the route table, for tests.
type Route struct {
	Method, Path string
	Role         wire.Role
	ContentType  string
	Optional     bool // body
	MaxBody      int64
}

// Routes returns the route table.
func (a *API) Routes() []Route {
	var all []Route
	for _, r := range a.routes {
		role := wire.Role("")
		if r.op != "" {
			role = r.op.Rule().Role
		}
		all = append(all, Route{r.method, r.path, role, r.body.contentType, r.body.optional, r.body.most})
	}
	return all
}

// UploadsUnderWay and Following return how many places are taken.
func (a *API) UploadsUnderWay() int { return a.cfg.Accounts.Gate.Taken(access.Uploads) }

// Following is for those who wait for audit records.
func (a *API) Following() int { return a.cfg.Accounts.Gate.Taken(access.Followers) }

// Verifying takes the place of a verification that is under way.
func (a *API) Verifying(tb testing.TB, who access.Principal) (leave func()) {
	tb.Helper()
	permit, err := a.cfg.Accounts.Gate.Begin(tb.Context(), access.Actor{Principal: who, Secret: "secret"}, access.VerifyAudit)
	if err != nil {
		tb.Fatal(err)
	}
	return permit.End
}

// MayVerify reports whether a principal could begin a verification.
func (a *API) MayVerify(tb testing.TB, who access.Principal) bool {
	tb.Helper()
	permit, err := a.cfg.Accounts.Gate.Begin(tb.Context(), access.Actor{Principal: who, Secret: "secret"}, access.VerifyAudit)
	if err == nil {
		permit.End()
	}
	return err == nil
}
