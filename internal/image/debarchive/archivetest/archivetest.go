// Package archivetest makes Debian archives for tests: keys, a signed InRelease and a
// Packages index.
package archivetest

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/clearsign"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

// Key makes a key as of a time, that lives so long; 0 is for ever.
func Key(tb testing.TB, at time.Time, life time.Duration) *openpgp.Entity {
	tb.Helper()
	e, err := openpgp.NewEntity("archive", "", "archive@example.org", &packet.Config{
		Algorithm: packet.PubKeyAlgoEdDSA, Time: func() time.Time { return at }, KeyLifetimeSecs: uint32(life / time.Second),
	})
	if err != nil {
		tb.Fatal(err)
	}
	return e
}

// Keyring is the public halves of keys, binary.
func Keyring(tb testing.TB, keys ...*openpgp.Entity) []byte {
	tb.Helper()
	var b bytes.Buffer
	for _, k := range keys {
		if err := k.Serialize(&b); err != nil {
			tb.Fatal(err)
		}
	}
	return b.Bytes()
}

// Sign signs a text as an InRelease is, with each key.
func Sign(tb testing.TB, text string, at time.Time, keys ...*openpgp.Entity) []byte {
	tb.Helper()
	var private []*packet.PrivateKey
	for _, k := range keys {
		private = append(private, k.PrivateKey)
	}
	var b bytes.Buffer
	w, err := clearsign.EncodeMulti(&b, private, &packet.Config{Time: func() time.Time { return at }})
	if err == nil {
		_, err = w.Write([]byte(text))
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		tb.Fatal(err)
	}
	return append(b.Bytes(), '\n')
}

// Release is the text of an InRelease that names one Packages file by its content.
func Release(at time.Time, packages []byte) string {
	return fmt.Sprintf("Origin: Debian\nLabel: Debian\nSuite: stable-security\nDate: %s\nValid-Until: %s\nMD5Sum:\n 00 1 main/binary-amd64/Packages\nSHA256:\n %x %d main/binary-amd64/Packages\n %064d 1 main/Contents-amd64\n",
		date(at), date(at.Add(7*24*time.Hour)), sha256.Sum256(packages), len(packages), 0)
}

func date(at time.Time) string { return at.UTC().Format("Mon, 02 Jan 2006 15:04:05") + " UTC" }

// Stanza is a package of a Packages file.
func Stanza(name, version, sum string) string {
	return fmt.Sprintf("Package: %[1]s\nVersion: %[2]s\nArchitecture: amd64\nDescription: a kernel\n Package: none of this\nFilename: pool/main/l/linux/%[1]s_%[2]s_amd64.deb\nSHA256: %[3]s\n\n", name, version, sum)
}
