// Package web is the dashboard: pages for an operator's browser, on the same
// origin as the API. docs/dashboard.md explains it.
//
// Pages read the store and render templates. Everything else a page does, login
// and downloads included, is a call of packages registry, access and oversight, in
// the name of the session of the browser's cookie: the same checks, limits and audit
// records as for clients of the API, which is another face of the same calls. A page
// that was asked for with GET changes nothing.
//
// All that has to happen before a page is made stands in the route table and is
// done in one place, [Web.serve]: where the request comes from, the session, the
// token against forged requests, size and time of the body.
package web
