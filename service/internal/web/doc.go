// Package web is the dashboard: pages for an operator's browser, on the same
// origin as the API. docs/dashboard.md explains it.
//
// Pages read the store and render templates. Everything else a page does, login
// and downloads included, is a request to the API in the same process, with the
// session of the browser's cookie: the same checks, limits and audit records as
// for every other client. So this package can change nothing by itself, and a
// page that was asked for with GET asks the API for nothing but downloads.
//
// All that has to happen before a page is made stands in the route table and is
// done in one place, [Web.serve]: where the request comes from, the session, the
// token against forged requests, size and time of the body.
package web
