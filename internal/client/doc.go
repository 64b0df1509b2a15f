// Package client talks to an attestation service: for the command line and the
// Packer plugin. [Discover] meets a service for the first time, [New] talks to
// one whose keys the operator has confirmed.
//
// A service is known by its private CA, which is pinned, unless its certificate
// is publicly trusted; and in either case by its identity and ingestion keys.
//
// [Service.Login] finds a service and decides whether to trust it where nobody can be
// asked: in Packer's components. "snpguard login" is the way for people; what it
// remembers counts here too.
package client
