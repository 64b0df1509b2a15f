// Package rekernel makes a release of a registered image with another kernel, and
// recomputes one that somebody else has made.
//
// Firmware, command line, agent and configuration come out of a launch bundle that the
// service has signed; kernel and modules come from packages (linuxpkg). The same bundle
// and packages give the same bytes. Image, disk and service are not asked.
package rekernel

import "errors"

var (
	// ErrRelease is a release of which no other can be made.
	ErrRelease = errors.New("no other release can be made of this one, and it cannot be recomputed")
	// ErrKernel is a kernel that cannot be an SNP guest with the agent.
	ErrKernel = errors.New("the kernel cannot run as an SNP guest with the agent")
)
