// Package wire holds what the parties of SnpGuard say to each other: the JSON
// types of the service's API, its error codes, and the transcripts that bind a
// key release to one launch. docs/protocol.md describes it byte for byte.
//
// Agent, converter, command line, Packer plugin and service share it, so it
// imports the standard library only and does nothing but encode, decode and
// check shapes.
package wire
