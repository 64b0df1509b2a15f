// Package registry registers images and their releases: it takes uploaded
// artifacts, computes the launch digest of each variant, signs an ID block for
// each, and keeps all of it; it changes and deletes what was registered, and
// writes launch bundles.
//
// A registration is an [Upload]: [Registry.Begin] checks what can be checked
// without the files, Add takes one file at a time and holds none but the
// firmware in memory, Finish measures, signs and stores, all or nothing. Whoever
// begins one calls Abort in the end, whatever happened.
//
// What a report must show beyond its measurement is the release's report policy
// (docs/report-policy.md). Fields of it that the service knows better are
// refused.
package registry
