package store_test

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store/storetest"
)

// seedAs makes TestSeed write testdata/vN.db.gz and vN.sql.gz for a version that
// has just been added: go test -run TestSeed -seed vN. What was released is never
// written again.
var seedAs = flag.String("seed", "", "write databases of the current version to testdata under this `name`")

// seeds are what every database of testdata holds: the same, whichever version
// wrote it.
type seeds struct {
	image            store.Image
	release          store.Release
	token            store.Token
	session          store.Session
	granted          store.UnlockRecord
	denied, operator store.Record
}

// seedHead is the end of the audit log of the seeds. The bodies of records are
// what was hashed, so it changes only if an old log no longer verifies.
const seedHead = "3:97cf802234597a5a978d145b4235478c25dc901056f127165116993916729f64"

func newSeeds(clock *storetest.Clock) seeds {
	uuid := func(n byte) wire.UUID { return wire.UUID{0: n, 15: n} }
	image, release, token, granted := storetest.Image("web"), storetest.Release("firmware", "kernel", "initrd"), storetest.Token("ci"), storetest.Granted()
	image.ID, image.Labels, image.Simulated = uuid(1), map[string]string{"os": "debian"}, true
	image.IDKeyDigest, image.AuthorKeyDigest = [48]byte{1}, [48]byte{2}
	release.ID, release.Policy = uuid(2), []byte(`{"vmpl":0}`)
	token.ID, token.Hash, token.ExpiresAt = uuid(3), [32]byte{3}, clock.Now().Add(time.Hour)
	granted.Audit = store.Record{
		RequestID: "request 1", Address: "192.0.2.1", ImageID: image.ID, ReleaseID: release.ID, ChipID: bytes.Repeat([]byte{9}, 64),
		TCB: "snp=23", Report: bytes.Repeat([]byte{7}, 1184), Details: map[string]string{"key": "value"},
	}
	granted.Nonce = &store.Nonce{Hash: [32]byte{4}, Expires: clock.Now().Add(time.Minute)}
	granted.Grant = &store.Claim{ReportID: [32]byte{5}, KeyHash: [32]byte{6}, ReleaseID: release.ID}
	granted.PolicyRevision = 2
	return seeds{
		image: image, release: release, token: token,
		session:  store.Session{Hash: [32]byte{7}, ExpiresAt: clock.Now().Add(time.Hour)},
		granted:  granted,
		denied:   store.Record{RequestID: "request 2", Reason: "measurement", Rule: "measurement", Expected: "aa", Found: "bb", ImageID: image.ID},
		operator: store.Record{Outcome: store.OutcomeDone, Reason: "image_created", Actor: "token ci", Address: "192.0.2.2"},
	}
}

// fill writes the seeds.
func (w seeds) fill(t *testing.T, s *store.Store) {
	t.Helper()
	_, _, createErr := s.CreateImage(t.Context(), w.image, w.release, storetest.Present)
	_, policyErr := s.UpdateReleasePolicy(t.Context(), w.release.ID, []byte(`{"vmpl":1}`), 1)
	_, tokenErr := s.CreateToken(t.Context(), w.token)
	_, sessionErr := s.CreateSession(t.Context(), w.session)
	_, loginErr := s.CountLoginFailure(t.Context(), "192.0.2.3", time.Hour)
	_, secretErr := s.PutSecretIfAbsent(t.Context(), "key", []byte("sealed"))
	settingErr := s.SetSetting(t.Context(), "password", []byte("hash"))
	_, grantErr := s.RecordUnlock(t.Context(), w.granted)
	_, deniedErr := s.RecordUnlock(t.Context(), store.UnlockRecord{Audit: w.denied})
	_, adminErr := s.RecordAdmin(t.Context(), w.operator)
	if err := errors.Join(createErr, policyErr, tokenErr, sessionErr, loginErr, secretErr, settingErr, grantErr, deniedErr, adminErr); err != nil {
		t.Fatal(err)
	}
}

// check reads the seeds, and writes on.
func (w seeds) check(t *testing.T, s *store.Store) {
	t.Helper()
	launch, err := s.FindLaunch(t.Context(), w.image.IDKeyDigest, w.image.AuthorKeyDigest, w.release.ID)
	if err != nil || launch.Release.PolicyRevision != 2 || string(launch.Release.Policy) != `{"vmpl":1}` {
		t.Errorf("launch: got %+v, %v", launch, err)
	}
	image, err := s.ImageByName(t.Context(), "web")
	if w.image.CreatedAt = image.CreatedAt; err != nil || !reflect.DeepEqual(image, w.image) || image.CreatedAt.IsZero() {
		t.Errorf("image: got %+v, %v", image, err)
	}
	release, err := s.ReleaseByID(t.Context(), w.release.ID)
	if err != nil || release.GuestPolicy != w.release.GuestPolicy || release.Initrd != w.release.Initrd || len(release.Variants) != 2 ||
		!bytes.Equal(release.Variants[1].IDAuth, w.release.Variants[1].IDAuth) {
		t.Errorf("release: got %+v, %v", release, err)
	}
	if token, err := s.TokenByHash(t.Context(), w.token.Hash); err != nil || token.ID != w.token.ID || !token.ExpiresAt.Equal(w.token.ExpiresAt) {
		t.Errorf("token: got %+v, %v", token, err)
	}
	_, sessionErr := s.SessionByHash(t.Context(), w.session.Hash)
	failures, loginErr := s.LoginFailures(t.Context(), "192.0.2.3", time.Hour)
	secret, _, secretErr := s.Secret(t.Context(), "key")
	setting, settingErr := s.Setting(t.Context(), "password")
	if err := errors.Join(sessionErr, loginErr, secretErr, settingErr); err != nil || failures.Global != 1 ||
		string(secret) != "sealed" || string(setting) != "hash" {
		t.Errorf("got %+v, %q, %q, %v", failures, secret, setting, err)
	}
	w.checkAudit(t, s)
}

func (w seeds) checkAudit(t *testing.T, s *store.Store) {
	t.Helper()
	head, err := s.VerifyAudit(t.Context(), 1, nil)
	if err != nil || head.String() != seedHead {
		t.Fatalf("audit log: got %s, %v, want %s", head, err, seedHead)
	}
	counts, err := s.UnlockCounts(t.Context(), time.Time{})
	if err != nil || len(counts) != 2 || counts[0].Reason != "measurement" || counts[0].Records != 1 || counts[1].Outcome != store.OutcomeGranted || counts[1].Records != 1 {
		t.Errorf("unlock counts: got %+v, %v", counts, err)
	}
	if got, err := s.RecordUnlock(t.Context(), w.granted); err != nil || got.Entry.Reason != store.ReasonNonceUsed {
		t.Errorf("used nonce: got %+v, %v", got, err)
	}
	again := storetest.Granted()
	again.Nonce.Expires = w.granted.Nonce.Expires
	again.Grant.ReportID, again.Grant.ReleaseID, again.PolicyRevision = w.granted.Grant.ReportID, w.release.ID, 2
	if got, err := s.RecordUnlock(t.Context(), again); err != nil || got.Entry.Reason != store.ReasonReleased {
		t.Errorf("used launch: got %+v, %v", got, err)
	}
	if _, err := s.VerifyAudit(t.Context(), 1, nil); err != nil {
		t.Error(err)
	}
}

// TestSeed writes and reads the seeds with the current version.
func TestSeed(t *testing.T) {
	for ending, d := range map[string]storetest.Database{".db.gz": storetest.SQLite(t), ".sql.gz": storetest.Postgres(t, &cluster)} {
		clock := storetest.NewClock(0)
		s, err := store.Open(t.Context(), d.DSN, store.Options{Now: clock.Now})
		if err != nil {
			t.Fatal(err)
		}
		newSeeds(clock).fill(t, s)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if *seedAs != "" {
			writeSeed(t, d, filepath.Join("testdata", *seedAs+ending))
		}
		newSeeds(clock).check(t, d.Open(t, store.Options{Now: clock.Now}))
	}
}

// schemaOf returns the schema of a test's database.
func schemaOf(d storetest.Database) string { return d.DSN[strings.LastIndex(d.DSN, "=")+1:] }

func writeSeed(t *testing.T, d storetest.Database, path string) {
	t.Helper()
	var data []byte
	var err error
	if file, ok := strings.CutPrefix(d.DSN, "sqlite:"); ok {
		data, err = os.ReadFile(file)
	} else {
		data = bytes.ReplaceAll(cluster.Dump(t, d.DSN), []byte(schemaOf(d)), []byte(*seedAs))
	}
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	z, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := z.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(z.Close(), os.WriteFile(path, out.Bytes(), 0o600)); err != nil {
		t.Fatal(err)
	}
}

// TestUpgrade opens databases that earlier versions wrote.
func TestUpgrade(t *testing.T) {
	for _, version := range []string{"v1"} {
		d := storetest.SQLite(t)
		if err := os.WriteFile(strings.TrimPrefix(d.DSN, "sqlite:"), readSeed(t, version+".db.gz"), 0o600); err != nil {
			t.Fatal(err)
		}
		script := bytes.NewReader(readSeed(t, version+".sql.gz"))
		for _, d := range []storetest.Database{d, {DSN: cluster.Restore(t, script, version)}} {
			clock := storetest.NewClock(0)
			newSeeds(clock).check(t, d.Open(t, store.Options{Now: clock.Now}))
		}
	}
}

func readSeed(t *testing.T, name string) []byte {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// TestMigrationsFrozen fails when a migration is changed that databases have
// gone through: add another one.
func TestMigrationsFrozen(t *testing.T) {
	frozen := map[string]string{
		"00001_base.sql":      "752e4bcdc2080a86f43b264aba26ec590a854bd12668556f4b3703a6ba21ffe7",
		"00002_blobs.sql":     "7403660f2d7261ec5faa7636ce2f2685b383062d1895749bb27c885863715fde",
		"00003_kds_cache.sql": "071cf70d0fe602d109032d47bd22c23707541633b77ef11937124b04e9462373",
		"00004_overview.sql":  "84876a084673e0393024672a14bf517e72962d023607c61a6561129cd2cdc37e",
	}
	files, err := os.ReadDir("migrations")
	if err != nil || len(files) < len(frozen) {
		t.Fatal(err)
	}
	for _, f := range files {
		data, err := os.ReadFile(filepath.Join("migrations", f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprintf("%x", sha256.Sum256(data)); got != frozen[f.Name()] {
			t.Errorf("%s has SHA-256 %s, want %s", f.Name(), got, frozen[f.Name()])
		}
	}
}
