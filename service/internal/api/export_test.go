package api

import "github.com/snpguard-go/packer-plugin-snpguard/internal/wire"

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
