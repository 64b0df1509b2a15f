package debarchive_test

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/debarchive"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/debarchive/archivetest"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/linuxpkg"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/linuxpkg/pkgtest"
)

const day = 24 * time.Hour

func now() time.Time { return time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC) }

func kernel() linuxpkg.Package {
	return linuxpkg.Package{Name: "linux-image-6.12.121", Version: "6.12.121-1", Architecture: "amd64", SHA256: strings.Repeat("0a", 32)}
}

func packagesFile() []byte {
	k := kernel()
	return []byte(archivetest.Stanza("bash", "5.2", strings.Repeat("bb", 32)) + archivetest.Stanza(k.Name, k.Version, k.SHA256))
}

func opens(content []byte) func() (io.ReadCloser, error) {
	return func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil }
}

// index is one that holds.
func index(t *testing.T, key *openpgp.Entity) *debarchive.Index {
	t.Helper()
	return &debarchive.Index{
		Keyring: archivetest.Keyring(t, key), InRelease: archivetest.Sign(t, archivetest.Release(now().Add(-day), packagesFile()), now().Add(-day), key),
		Packages: []func() (io.ReadCloser, error){opens(packagesFile())}, MaxAge: 30 * day,
	}
}

func armored(t *testing.T, keyring []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := armor.Encode(&b, openpgp.PublicKeyType, nil)
	if err == nil {
		_, err = w.Write(keyring)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestCheck(t *testing.T) {
	key, other := archivetest.Key(t, now().Add(-400*day), 0), archivetest.Key(t, now().Add(-400*day), 0)
	text := archivetest.Release(now().Add(-day), packagesFile())
	for name, change := range map[string]func(*debarchive.Index){
		"plain":                 func(*debarchive.Index) {},
		"armored keyring":       func(x *debarchive.Index) { x.Keyring = armored(t, x.Keyring) },
		"second key of two":     func(x *debarchive.Index) { x.InRelease = archivetest.Sign(t, text, now().Add(-day), other, key) },
		"keyring of two":        func(x *debarchive.Index) { x.Keyring = archivetest.Keyring(t, other, key) },
		"compressed otherwise":  func(x *debarchive.Index) { x.Packages[0] = opens(pkgtest.Pack(t, ".xz", packagesFile())) },
		"another index as well": func(x *debarchive.Index) { x.Packages = append(x.Packages, x.Packages[0]) },
		"named as it is compressed": func(x *debarchive.Index) {
			gz := pkgtest.Pack(t, ".gz", packagesFile())
			x.InRelease = archivetest.Sign(t, strings.ReplaceAll(archivetest.Release(now().Add(-day), gz), "Packages\n", "Packages.gz\n"), now().Add(-day), key)
			x.Packages[0] = opens(gz)
		},
	} {
		x := index(t, key)
		change(x)
		a, err := x.Check([]linuxpkg.Package{kernel()}, now())
		if err != nil || a.Origin != "Debian" || a.Suite != "stable-security" || !a.Date.Equal(now().Add(-day)) || len(a.SignedBy) != 40 {
			t.Errorf("%s: %+v, %v", name, a, err)
		}
	}
}

// TestAttacks is what a mirror, or who is between, could send.
func TestAttacks(t *testing.T) {
	key, stranger := archivetest.Key(t, now().Add(-800*day), 0), archivetest.Key(t, now().Add(-800*day), 0)
	expired := archivetest.Key(t, now().Add(-800*day), 790*day)
	revoked := archivetest.Key(t, now().Add(-800*day), 0)
	if err := revoked.RevokeKey(packet.KeyCompromised, "stolen", &packet.Config{Time: func() time.Time { return now().Add(-2 * day) }}); err != nil {
		t.Fatal(err)
	}
	text := func(age time.Duration) string { return archivetest.Release(now().Add(-age), packagesFile()) }
	signed := func(text string) func(*debarchive.Index) {
		return func(x *debarchive.Index) { x.InRelease = archivetest.Sign(t, text, now().Add(-day), key) }
	}
	by := func(k *openpgp.Entity) func(*debarchive.Index) {
		return func(x *debarchive.Index) {
			x.Keyring, x.InRelease = archivetest.Keyring(t, k), archivetest.Sign(t, text(15*day), now().Add(-15*day), k)
		}
	}
	evil := kernel()
	evil.SHA256 = strings.Repeat("ee", 32)
	evilPackages := []byte(archivetest.Stanza(evil.Name, evil.Version, evil.SHA256))
	wrap := func(before, after string) func(*debarchive.Index) {
		return func(x *debarchive.Index) { x.InRelease = slices.Concat([]byte(before), x.InRelease, []byte(after)) }
	}
	for name, tc := range map[string]struct {
		change func(*debarchive.Index)
		want   error
	}{
		"another key": {func(x *debarchive.Index) { x.InRelease = archivetest.Sign(t, text(day), now().Add(-day), stranger) }, debarchive.ErrSignature},
		"changed after it was signed": {func(x *debarchive.Index) {
			x.InRelease = bytes.Replace(x.InRelease, []byte("Suite: stable"), []byte("Suite: sid---"), 1)
		}, debarchive.ErrSignature},
		"not signed":             {func(x *debarchive.Index) { x.InRelease = []byte(text(day)) }, debarchive.ErrSignature},
		"expired key":            {by(expired), debarchive.ErrSignature},
		"revoked key":            {by(revoked), debarchive.ErrSignature},
		"good key, control":      {by(stranger), debarchive.ErrStale},
		"text before it":         {wrap("SHA256:\n ee 1 Packages\n", ""), debarchive.ErrSignature},
		"text behind it":         {wrap("", "SHA256:\n ee 1 Packages\n"), debarchive.ErrSignature},
		"two messages":           {func(x *debarchive.Index) { x.InRelease = slices.Concat(x.InRelease, x.InRelease) }, debarchive.ErrSignature},
		"no signature in it":     {func(x *debarchive.Index) { x.InRelease = x.InRelease[:len(x.InRelease)/2] }, debarchive.ErrSignature},
		"nothing":                {func(x *debarchive.Index) { x.InRelease = nil }, debarchive.ErrSignature},
		"a year old":             {signed(strings.Replace(text(365*day), "Valid-Until", "X-Valid", 1)), debarchive.ErrStale},
		"not valid any more":     {signed(text(8 * day)), debarchive.ErrStale},
		"from the future":        {signed(text(-3 * day)), debarchive.ErrStale},
		"no date":                {signed(strings.Replace(text(day), "Date:", "X-Date:", 1)), debarchive.ErrIndex},
		"two dates":              {signed(text(day) + "Date: Sat, 28 Nov 2026 02:53:00 UTC\n"), debarchive.ErrIndex},
		"date of another zone":   {signed(strings.Replace(text(day), " UTC", " XYZ", 1)), debarchive.ErrIndex},
		"no SHA256":              {signed(strings.Replace(text(day), "SHA256:", "SHA1:", 1)), debarchive.ErrIndex},
		"hash that is none":      {signed(strings.Replace(text(day), "SHA256:\n", "SHA256:\n zz 1 Packages\n", 1)), debarchive.ErrIndex},
		"no field":               {signed(text(day) + "nothing\n"), debarchive.ErrIndex},
		"Packages of another":    {func(x *debarchive.Index) { x.Packages[0] = opens(evilPackages) }, debarchive.ErrIndex},
		"Packages with one more": {func(x *debarchive.Index) { x.Packages[0] = opens(slices.Concat(packagesFile(), evilPackages)) }, debarchive.ErrIndex},
		"hash of another file": {func(x *debarchive.Index) {
			signed(strings.ReplaceAll(text(day), "/Packages\n", "/Sources\n"))(x)
		}, debarchive.ErrIndex},
		"damaged Packages": {func(x *debarchive.Index) { x.Packages[0] = opens([]byte("\xfd7zXZ\x00 no")) }, debarchive.ErrIndex},
		"a field twice": {func(x *debarchive.Index) {
			twice := append(packagesFile(), "Package: a\nPackage: b\n"...)
			x.InRelease = archivetest.Sign(t, archivetest.Release(now().Add(-day), twice), now().Add(-day), key)
			x.Packages[0] = opens(twice)
		}, debarchive.ErrIndex},
		"long line": {func(x *debarchive.Index) { x.Packages[0] = opens(bytes.Repeat([]byte("a"), 2<<20)) }, debarchive.ErrIndex},
	} {
		x := index(t, key)
		tc.change(x)
		if a, err := x.Check([]linuxpkg.Package{kernel()}, now()); !errors.Is(err, tc.want) {
			t.Errorf("%s: got %+v, %v, want %v", name, a, err, tc.want)
		}
	}
	if _, err := index(t, key).Check([]linuxpkg.Package{kernel()}, now().Add(30*time.Minute)); err != nil {
		t.Errorf("control: %v", err)
	}
}

// A package is another one as soon as one of its properties is.
func TestUnlisted(t *testing.T) {
	x := index(t, archivetest.Key(t, now().Add(-400*day), 0))
	for name, change := range map[string]func(*linuxpkg.Package){
		"hash":         func(p *linuxpkg.Package) { p.SHA256 = strings.Repeat("ee", 32) },
		"version":      func(p *linuxpkg.Package) { p.Version = "6.12.120-1" },
		"name":         func(p *linuxpkg.Package) { p.Name = "bash" },
		"architecture": func(p *linuxpkg.Package) { p.Architecture = "arm64" },
	} {
		p := kernel()
		change(&p)
		if _, err := x.Check([]linuxpkg.Package{kernel(), p}, now()); !errors.Is(err, debarchive.ErrUnlisted) {
			t.Errorf("another %s: got %v", name, err)
		}
	}
	failed := errors.New("no such file")
	x.Packages = []func() (io.ReadCloser, error){func() (io.ReadCloser, error) { return nil, failed }}
	if _, err := x.Check(nil, now()); !errors.Is(err, failed) {
		t.Errorf("an index that cannot be opened: %v", err)
	}
	for _, keyring := range [][]byte{nil, []byte("no keys"), []byte("-----BEGIN PGP PUBLIC KEY BLOCK-----\n")} {
		x.Keyring = keyring
		if _, err := x.Check(nil, now()); err == nil {
			t.Errorf("keyring %q was taken", keyring)
		}
	}
}

// FuzzInRelease reads hostile messages: none that the fuzzer makes is signed.
func FuzzInRelease(f *testing.F) {
	key, stranger := archivetest.Key(f, now().Add(-400*day), 0), archivetest.Key(f, now().Add(-400*day), 0)
	keyring, err := debarchive.ParseKeyring(archivetest.Keyring(f, key))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(archivetest.Sign(f, archivetest.Release(now(), nil), now(), stranger))
	f.Add([]byte("-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n\n-----BEGIN PGP SIGNATURE-----\n\n-----END PGP SIGNATURE-----\n"))
	f.Fuzz(func(t *testing.T, message []byte) {
		if r, err := debarchive.ReadRelease(message, keyring, now()); !errors.Is(err, debarchive.ErrSignature) && !errors.Is(err, debarchive.ErrIndex) {
			t.Errorf("got %+v, %v", r, err)
		}
	})
}

// FuzzSigned signs whatever comes, and a Packages file of any content: an archive that
// has been broken into.
func FuzzSigned(f *testing.F) {
	key := archivetest.Key(f, now().Add(-400*day), 0)
	keyring, err := debarchive.ParseKeyring(archivetest.Keyring(f, key))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(archivetest.Release(now(), packagesFile()), packagesFile())
	f.Add("Date: Sat, 28 Nov 2026 02:53:00 UTC\nSHA256:\n", []byte("\x1f\x8b"))
	f.Fuzz(func(t *testing.T, text string, packages []byte) {
		r, err := debarchive.ReadRelease(archivetest.Sign(t, text, now(), key), keyring, now())
		if err != nil {
			if !errors.Is(err, debarchive.ErrIndex) && !errors.Is(err, debarchive.ErrSignature) {
				t.Errorf("got %v", err)
			}
			return
		}
		found, err := r.Find(bytes.NewReader(packages), []linuxpkg.Package{kernel()})
		if err != nil && !errors.Is(err, debarchive.ErrIndex) || len(found) > 0 && !bytes.Contains(packages, []byte(kernel().SHA256)) {
			t.Errorf("found %v, %v", found, err)
		}
	})
}
