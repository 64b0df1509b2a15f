package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/snp"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/debarchive/archivetest"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/decompress"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/initrd"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/kmod"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/linuxpkg/pkgtest"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/launch/launchtest"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/bootconf"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/sim/simtest"
)

const (
	firstKernel  = "6.12.117+deb13-cloud-amd64"
	secondKernel = "6.12.121+deb13-cloud-amd64"
)

// minimalConfig is config.json of the image that the scripts register.
func minimalConfig(t *testing.T, service string) []byte {
	t.Helper()
	image, err := wire.ParseUUID("11111111-2222-4333-8444-555555555555")
	if err != nil {
		t.Fatal(err)
	}
	c := &bootconf.Config{
		Format: bootconf.Format, ImageID: image, Services: []string{service}, CA: string(simtest.AMD(t).Line(snp.Milan).ARK.PEM()), Simulated: true,
		IdentityKey: launchtest.Identity().Public().(ed25519.PublicKey), VMKCommitment: strings.Repeat("0", 64), Initrd: bootconf.InitrdMinimal,
		Modules: bootconf.ModulesRequired, UnsealingKey: make([]byte, wire.PublicKeySize), Deadline: 60, Network: bootconf.Network{Mode: bootconf.ModeDHCP},
		Root: bootconf.Root{
			PartitionGUID: "0fc63daf-8483-4772-8e79-3d69d8477de4", FilesystemUUID: "11111111-2222-3333-4444-555555555555", SealedVMKOffset: 12 << 20,
			PayloadOffset: 16 << 20, Cipher: bootconf.Cipher, SectorSize: 4096, Filesystem: "ext4", Mount: bootconf.Mount{Options: []string{}},
		},
	}
	encoded, err := c.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return encoded
}

// kernelsCommand returns the script command "kernels": it leaves the packages of two
// kernels, a Debian archive that lists the second, the initrd of a converted image, and
// what attackers would have in the place of each. SECOND is a URL of the second
// package, WRONG is one of the first, PATCHED another file, both with the hash of it.
func kernelsCommand(t *testing.T) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, _ bool, _ []string) {
		first := pkgtest.Deb(t, "linux-image-"+firstKernel, "6.12.117-1", ".xz", pkgtest.Kernel(firstKernel, "./")...)
		second := pkgtest.Deb(t, "linux-image-"+secondKernel, "6.12.121-1", ".xz", pkgtest.Kernel(secondKernel, "./")...)
		files := map[string][]byte{
			"first.deb": first, "second.deb": second,
			"second.rpm":  pkgtest.RPM(t, "kernel", ".zst", pkgtest.Kernel(secondKernel, "./")...),
			"climbs.deb":  pkgtest.Deb(t, "linux-image", "1", "", append(pkgtest.Kernel(secondKernel, "./"), pkgtest.File{Name: "./lib/modules/../../evil", Content: "x"})...),
			"no-snp.deb":  pkgtest.Deb(t, "linux-image", "1", "", pkgtest.Kernel(secondKernel, "./")[:7]...),
			"patched.deb": pkgtest.Deb(t, "linux-image-"+secondKernel, "6.12.121-1", ".gz", pkgtest.Kernel(secondKernel, "./")...),
			"vmlinuz":     []byte(pkgtest.Image(secondKernel)), "not-initrd": []byte("initrd"),
		}
		leaveArchive(t, files, second)
		leaveInitrds(t, files)
		for name, content := range files {
			ts.Check(os.WriteFile(ts.MkAbs(name), content, 0o600))
		}
		server := httptest.NewServer(http.FileServer(http.Dir(ts.MkAbs("."))))
		ts.Defer(server.Close)
		sum := sha256.Sum256(second)
		for name, place := range map[string]string{"SECOND": server.URL + "/second.deb", "WRONG": server.URL + "/first.deb", "PATCHED": "patched.deb"} {
			ts.Setenv(name, place+"#sha256="+hex.EncodeToString(sum[:]))
		}
	}
}

// leaveArchive has a good InRelease and those that are refused.
func leaveArchive(t *testing.T, files map[string][]byte, second []byte) {
	t.Helper()
	now := time.Now()
	sum := sha256.Sum256(second)
	packages := []byte(archivetest.Stanza("linux-image-"+secondKernel, "6.12.121-1", hex.EncodeToString(sum[:])))
	key, stranger := archivetest.Key(t, now.AddDate(-3, 0, 0), 0), archivetest.Key(t, now.AddDate(-3, 0, 0), 0)
	files["Packages"], files["keyring.gpg"] = packages, archivetest.Keyring(t, key)
	files["InRelease"] = archivetest.Sign(t, archivetest.Release(now.Add(-time.Hour), packages), now.Add(-time.Hour), key)
	files["InRelease.stranger"] = archivetest.Sign(t, archivetest.Release(now, packages), now, stranger)
	yearAgo := now.AddDate(-1, 0, 0)
	files["InRelease.old"] = archivetest.Sign(t, strings.Replace(archivetest.Release(yearAgo, packages), "Valid-Until", "X-Valid", 1), yearAgo, key)
}

// leaveInitrds has that of a conversion with the first kernel, and those that hide
// something.
func leaveInitrds(t *testing.T, files map[string][]byte) {
	t.Helper()
	write := func(agent string, config []byte, how decompress.Format) []byte {
		var b bytes.Buffer
		s := initrd.Segment{Agent: []byte(agent), Config: config, Modules: []kmod.Module{{Name: "dm_mod", Data: []byte(pkgtest.Module(firstKernel, "dm_mod", ""))}}}
		if err := initrd.Write(&b, s, how); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	good := write("the agent", minimalConfig(t, "https://attest.example.org"), decompress.Zstd)
	evil := write("another agent", minimalConfig(t, "https://attest.example.org"), decompress.None)
	files["initrd"] = good
	files["initrd.behind"] = slices.Concat(good, make([]byte, -len(good)&3), evil)
	files["initrd.second"] = slices.Concat(evil, evil)
	files["initrd.service"] = write("the agent", minimalConfig(t, "https://evil.example.org"), decompress.Zstd)
}
