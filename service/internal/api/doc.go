// Package api is the service's HTTP API: the attestation protocol, the
// management of images, tokens and the audit log, and what is public.
// docs/api.md explains it, openapi.json describes it for programs.
//
// Handlers decode, call and encode; what they call is in other packages. All
// that has to happen before a handler runs stands in the route table and is done
// in one place, [API.serve]: rate limits, content type and size of the body,
// authentication, role, and time limits. All errors leave through one function,
// which knows what may be said to a client.
package api
