// Package client talks to an attestation service: for the command line and the
// Packer plugin. [Discover] meets a service for the first time, [New] talks to
// one whose keys the operator has confirmed.
//
// A service is known by its private CA, which is pinned, unless its certificate
// is publicly trusted; and in either case by its identity and ingestion keys.
package client
