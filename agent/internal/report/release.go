//go:build !sim

package report

// Simulated says whether this build attests to a simulated AMD-SP.
const Simulated = false

// Providers returns the ways to a report, best first.
func Providers() []Provider { return chip() }
