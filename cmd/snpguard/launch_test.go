package main

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/launch/launchtest"
	"github.com/snpguard-go/packer-plugin-snpguard/measure"
)

// bundlesCommand returns the script command "bundles": it leaves bundles whose
// guests print a line and end, the key that signed them, and disks.
func bundlesCommand(t *testing.T) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, _ bool, _ []string) {
		release := func(ending launchtest.Ending) launchtest.Release {
			return launchtest.Release{
				Kernel: launchtest.Kernel("the guest is here\n", ending), Initrd: []byte("initrd"), Cmdline: "quiet",
				Variants: []measure.VCPUs{launchtest.VCPUs(t, 2, "EPYC-Milan"), launchtest.VCPUs(t, 1, "EPYC-Genoa")},
			}
		}
		genuine := release(launchtest.PowerOff)
		genuine.Genuine = true
		public := launchtest.Identity().Public().(ed25519.PublicKey)
		der, err := x509.MarshalPKIXPublicKey(public)
		ts.Check(err)
		for name, data := range map[string][]byte{
			"simulated.tar.gz": launchtest.Bundle(t, release(launchtest.PowerOff)),
			"panics.tar.gz":    launchtest.Bundle(t, release(launchtest.Reset)),
			"hangs.tar.gz":     launchtest.Bundle(t, release(launchtest.Hang)),
			"genuine.tar.gz":   launchtest.Bundle(t, genuine),
			"identity":         []byte(base64.StdEncoding.EncodeToString(public) + "\n"),
			"identity.pem":     pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}),
			"other":            []byte(base64.StdEncoding.EncodeToString(make([]byte, 32)) + "\n"),
			"disk.raw":         make([]byte, 1<<20),
			"disk.vmdk":        append([]byte("KDMV"), make([]byte, 1<<20)...),
		} {
			ts.Check(os.WriteFile(ts.MkAbs(name), data, 0o600))
		}
	}
}
