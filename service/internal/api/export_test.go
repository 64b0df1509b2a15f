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
		all = append(all, Route{r.method, r.path, r.role, r.body.contentType, r.body.optional, r.body.most})
	}
	return all
}

// UploadsUnderWay and Following return how many places are taken.
func (a *API) UploadsUnderWay() int { return a.uploads.count() }

// Following is for those who wait for audit records.
func (a *API) Following() int { return a.followers.count() }

func (p *places) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.taken
}

// Verifying takes the place of a verification that is under way.
func (a *API) Verifying(tb testing.TB, who access.Principal) (leave func()) {
	tb.Helper()
	leave, err := a.checks.enter(&request{principal: who})
	if err != nil {
		tb.Fatal(err)
	}
	return leave
}

// MayVerify reports whether a principal could begin a verification.
func (a *API) MayVerify(who access.Principal) bool {
	leave, err := a.checks.enter(&request{principal: who})
	if err == nil {
		leave()
	}
	return err == nil
}
