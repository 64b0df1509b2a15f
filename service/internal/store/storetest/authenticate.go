package storetest

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/audit"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
)

func authenticateTests() map[string]func(*testing.T, Database) {
	return map[string]func(*testing.T, Database){
		"authenticate key":      testRowKeys,
		"authenticate rows":     testForgedRows,
		"authenticate old rows": testOldRows,
		"authenticate end":      testForgedEnd,
		"authenticate set back": testSetBack,
		"authenticate decision": testForgedMeanwhile,
		"tombstones":            testTombstones,
		"launch limit":          testLaunchLimit,
	}
}

// Without the key, or with another, nothing is read that a decision rests on.
func testRowKeys(t *testing.T, d Database) {
	image, _ := create(t, d.Open(t), Image("image"), Release("f", "k", "i"))
	s, err := store.Open(t.Context(), d.DSN, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := s.ImageByID(t.Context(), image.ID); err == nil {
		t.Errorf("without a key: got %+v", got)
	}
	if _, err := s.CreateToken(t.Context(), Token("ci")); err == nil {
		t.Error("a token was made without a key")
	}
	if err := s.Authenticate(t.Context(), []byte("short")); !errors.Is(err, store.ErrInvalid) {
		t.Errorf("short key: got %v", err)
	}
	if err := s.Authenticate(t.Context(), renewedKey()); !errors.Is(err, store.ErrTampered) {
		t.Errorf("other key: got %v", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// forged is a database with a bit of everything, to be tampered with.
type forged struct {
	d       Database
	s       *store.Store
	image   store.Image
	release store.Release
	token   store.Token
	session store.Session
}

func newForged(t *testing.T, d Database) *forged {
	t.Helper()
	f := &forged{d: d, s: d.Open(t)}
	f.image, f.release = create(t, f.s, Image("image"), Release("f", "k", "i"))
	create(t, f.s, Image("other"), Release("f", "k", "i"))
	f.token = newToken(t, f.s, Token("ci"))
	var err error
	if f.session, err = f.s.CreateSession(t.Context(), store.Session{Hash: Hash(), ExpiresAt: time.Now().Add(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	if _, err := f.s.PutSecretIfAbsent(t.Context(), "password", []byte("old")); err != nil {
		t.Fatal(err)
	}
	if err := f.s.VerifyRows(t.Context()); err != nil {
		t.Fatal(err)
	}
	return f
}

// uses are all ways in which a decision comes to rest on rows.
func (f *forged) uses(ctx context.Context) map[string]error {
	_, launch := f.s.FindLaunch(ctx, f.image.IDKeyDigest, f.image.AuthorKeyDigest, f.release.ID)
	_, image := f.s.ImageByID(ctx, f.image.ID)
	_, release := f.s.ReleaseByID(ctx, f.release.ID)
	_, token := f.s.TokenByHash(ctx, f.token.Hash)
	_, session := f.s.SessionByHash(ctx, f.session.Hash)
	return map[string]error{
		"launch": launch, "image": image, "release": release, "token": token, "session": session,
		"enable": f.s.SetImageEnabled(ctx, f.image.ID, true), "extend": f.s.ExtendSession(ctx, f.session.Hash, time.Now().Add(2*time.Hour)),
		"tombstone": f.s.CheckTombstones(ctx, f.image.ID, f.image.UnsealingKeyHash),
	}
}

// Whoever writes to the database changes each column that a decision rests on, or
// puts in rows of their own.
func testForgedRows(t *testing.T, d Database) {
	f := newForged(t, d)
	other := Hash()
	for name, tc := range map[string]struct {
		forge, mend []query
		fails       []string // the uses that must
	}{
		"image enabled":      {q(`UPDATE images SET enabled = NOT enabled`), q(`UPDATE images SET enabled = NOT enabled`), []string{"launch", "image", "enable"}},
		"image kind":         {q(`UPDATE images SET simulated = NOT simulated`), q(`UPDATE images SET simulated = NOT simulated`), []string{"launch", "image", "enable"}},
		"image policy":       {q(`UPDATE images SET policy = $1`, []byte(`{}`)), q(`UPDATE images SET policy = $1`, f.image.Policy), []string{"launch", "image"}},
		"image limit":        {q(`UPDATE images SET max_launches = 5, launch_period = 1`), q(`UPDATE images SET max_launches = 0, launch_period = 0`), []string{"launch"}},
		"release state":      {q(`UPDATE releases SET state = 'retired'`), q(`UPDATE releases SET state = 'approved'`), []string{"launch", "release"}},
		"release proposer":   {q(`UPDATE releases SET proposed_by = 'token 2 (release manager)'`), q(`UPDATE releases SET proposed_by = 'token 1 (packer)'`), []string{"launch", "release"}},
		"release approved":   {q(`UPDATE releases SET approved_at = approved_at + 1`), q(`UPDATE releases SET approved_at = approved_at - 1`), []string{"launch", "release"}},
		"release policy":     {q(`UPDATE releases SET policy = $1`, []byte(`{}`)), q(`UPDATE releases SET policy = $1`, []byte{}), []string{"launch", "release"}},
		"guest policy":       {q(`UPDATE releases SET guest_policy = guest_policy + 1`), q(`UPDATE releases SET guest_policy = guest_policy - 1`), []string{"launch", "release"}},
		"vCPUs of a variant": {q(`UPDATE variants SET vcpus = vcpus + 100`), q(`UPDATE variants SET vcpus = vcpus - 100`), []string{"launch", "release"}},
		"role":               {q(`UPDATE tokens SET role = 'root'`), q(`UPDATE tokens SET role = 'admin'`), []string{"token"}},
		"lifetime":           {q(`UPDATE tokens SET expires_at = 1`), q(`UPDATE tokens SET expires_at = 0`), []string{"token"}},
		"session":            {q(`UPDATE sessions SET expires_at = expires_at + 1`), q(`UPDATE sessions SET expires_at = expires_at - 1`), []string{"session", "extend"}},
		"token by hand":      {q(`UPDATE tokens SET hash = $1`, other[:]), q(`UPDATE tokens SET hash = $1`, f.token.Hash[:]), nil},
	} {
		d.exec(t, tc.forge...)
		got := f.uses(t.Context())
		for _, use := range tc.fails {
			if !errors.Is(got[use], store.ErrTampered) {
				t.Errorf("%s: %s: got %v", name, use, got[use])
			}
		}
		d.exec(t, tc.mend...)
		for use, err := range f.uses(t.Context()) {
			if err != nil {
				t.Fatalf("%s was mended: %s: %v", name, use, err)
			}
		}
	}
	measurement := f.release.Variants[0].Measurement
	measurement[0] ^= 1
	d.exec(t, q(`UPDATE variants SET measurement = $1 WHERE position = 0`, measurement[:])...)
	if got := f.uses(t.Context()); !errors.Is(got["launch"], store.ErrTampered) || !errors.Is(got["release"], store.ErrTampered) {
		t.Errorf("another measurement: got %v", got)
	}
	if err := f.s.VerifyRows(t.Context()); !errors.Is(err, store.ErrTampered) {
		t.Errorf("another measurement: got %v", err)
	}
}

// Rows that were genuine once are put back, or genuine ones are taken out. Each of
// them stands for itself, but all together do not add up; from then on nothing is
// granted or recorded.
func testOldRows(t *testing.T, d Database) {
	f := newForged(t, d)
	copyTables := func(prefix string) {
		for _, table := range []string{"images", "tokens", "secrets"} {
			d.exec(t, q(`CREATE TABLE `+prefix+table+` AS SELECT * FROM `+table)...)
		}
	}
	copyTables("old_")
	launch := launchOf(t, f.s, f.image, f.release)
	if err := errors.Join(
		f.s.SetImageEnabled(t.Context(), f.image.ID, false),
		f.s.RevokeToken(t.Context(), f.token.ID),
		f.s.ReplaceSecret(t.Context(), "password", []byte("old"), []byte("new")),
		f.s.VerifyRows(t.Context()),
	); err != nil {
		t.Fatal(err)
	}
	copyTables("new_")
	image := func(from string) []query {
		return q(`UPDATE images SET enabled = (SELECT enabled FROM ` + from + ` o WHERE o.id = images.id), mac = (SELECT mac FROM ` + from + ` o WHERE o.id = images.id)`)
	}
	token := func(from string) []query {
		return q(`UPDATE tokens SET revoked_at = (SELECT revoked_at FROM ` + from + `), mac = (SELECT mac FROM ` + from + `)`)
	}
	secret := func(from string) []query {
		return q(`UPDATE secrets SET sealed = (SELECT sealed FROM ` + from + ` o WHERE o.name = secrets.name)`)
	}
	for name, tc := range map[string]struct{ forge, mend []query }{
		"enabled image":     {image("old_images"), image("new_images")},
		"unrevoked token":   {token("old_tokens"), token("new_tokens")},
		"old password":      {secret("old_secrets"), secret("new_secrets")},
		"forged dead token": {q(`UPDATE tokens SET revoked_at = 1, mac = $1`, make([]byte, 32)), append(q(`DELETE FROM tokens`), q(`INSERT INTO tokens SELECT * FROM new_tokens`)...)},
		"no tokens":         {q(`DELETE FROM tokens`), q(`INSERT INTO tokens SELECT * FROM new_tokens`)},
	} {
		d.exec(t, tc.forge...)
		s, err := store.Open(t.Context(), d.DSN, store.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Authenticate(t.Context(), RowKey()); !errors.Is(err, store.ErrTampered) {
			t.Errorf("%s: got %v", name, err)
		}
		if got, err := GrantedOf(launch).Write(t.Context(), s); !errors.Is(err, store.ErrTampered) {
			t.Errorf("%s: recorded %+v, %v", name, got, err)
		}
		// What is deleted would take off the sum what a forger chose, were it not checked.
		if n, err := f.s.DeleteDeadTokens(t.Context(), time.Now().Add(-24*time.Hour)); name == "forged dead token" && !errors.Is(err, store.ErrTampered) {
			t.Errorf("%s: deleted %d, %v", name, n, err)
		}
		d.exec(t, tc.mend...)
		if err := errors.Join(s.Close(), f.s.VerifyRows(t.Context())); err != nil {
			t.Fatalf("%s was mended: %v", name, err)
		}
	}
}

// The end of the log is moved, with and without the records.
func testForgedEnd(t *testing.T, d Database) {
	s := d.OpenStanding(t)
	entries := chain(t, s, 6)
	last := entries[3]
	d.exec(t, append(q(`CREATE TABLE old_audit AS SELECT * FROM audit`), q(`CREATE TABLE old_head AS SELECT * FROM audit_head`)...)...)
	mend := slices.Concat(q(`DELETE FROM audit`), q(`INSERT INTO audit SELECT * FROM old_audit`), q(`DELETE FROM audit_head`), q(`INSERT INTO audit_head SELECT * FROM old_head`))
	for name, forge := range map[string][]query{
		"cut":        append(q(`DELETE FROM audit WHERE seq > 4`), q(`UPDATE audit_head SET seq = 4, hash = $1`, last.Hash[:])...),
		"other sum":  q(`UPDATE audit_head SET row_sum = $1`, make([]byte, 64)),
		"no MAC":     q(`UPDATE audit_head SET mac = NULL`),
		"forgotten":  append(q(`DELETE FROM audit`), q(`UPDATE audit_head SET seq = 0, hash = NULL, row_sum = NULL, mac = NULL`)...),
		"other hash": q(`UPDATE audit_head SET hash = $1`, last.Hash[:]),
	} {
		d.exec(t, forge...)
		again, err := store.Open(t.Context(), d.DSN, store.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if err := again.Authenticate(t.Context(), RowKey()); !errors.Is(err, store.ErrTampered) {
			t.Errorf("%s: got %v", name, err)
		}
		var broken *audit.BrokenError
		if _, err := again.VerifyAudit(t.Context(), 1, nil); !errors.As(err, &broken) {
			t.Errorf("%s: verified: %v", name, err)
		}
		d.exec(t, mend...)
		if err := errors.Join(again.Close(), s.VerifyRows(t.Context())); err != nil {
			t.Fatalf("%s was mended: %v", name, err)
		}
	}
}

// The whole database is set back to an earlier state, which a process that has seen
// later records notices.
func testSetBack(t *testing.T, d Database) {
	s := d.OpenStanding(t)
	record(t, s, Granted(t, s))
	d.exec(t, q(`CREATE TABLE old_head AS SELECT * FROM audit_head`)...)
	record(t, s, Granted(t, s))
	record(t, s, Granted(t, s))
	d.exec(t, append(q(`DELETE FROM audit WHERE seq > 1`), append(q(`DELETE FROM audit_head`),
		q(`INSERT INTO audit_head SELECT * FROM old_head`)...)...)...)
	if got, err := Granted(t, s).Write(t.Context(), s); !errors.Is(err, store.ErrTampered) {
		t.Errorf("got %+v, %v", got, err)
	}
}

// A decision rests on rows that were genuine when they were looked up, and somebody
// changes them before it is recorded.
func testForgedMeanwhile(t *testing.T, d Database) {
	s := d.Open(t)
	image, release := create(t, s, Image("image"), Release("f", "k", "i"))
	if err := s.SetImageEnabled(t.Context(), image.ID, false); err != nil {
		t.Fatal(err)
	}
	stale := launchOf(t, s, image, release)
	if err := s.RetireRelease(t.Context(), release.ID, store.Verdict{By: Approver}); err != nil {
		t.Fatal(err)
	}
	d.exec(t, append(q(`UPDATE images SET enabled = TRUE`), q(`UPDATE releases SET state = 'approved'`)...)...)
	if got := record(t, s, GrantedOf(stale)); got.Granted() || got.Reason != audit.ReasonPolicyChanged {
		t.Errorf("got %+v", got)
	}
}

// Neither the ID nor the unsealing key of a deleted image is registered again.
func testTombstones(t *testing.T, d Database) {
	s := d.Open(t)
	image, _ := create(t, s, Image("image"), Release("f", "k", "i"))
	if err := s.CheckTombstones(t.Context(), image.ID, image.UnsealingKeyHash); err != nil {
		t.Error(err)
	}
	if _, err := s.DeleteImage(t.Context(), image.ID); err != nil {
		t.Fatal(err)
	}
	sameID, sameKey := Image("image"), Image("image")
	sameID.ID, sameKey.UnsealingKeyHash = image.ID, image.UnsealingKeyHash
	for _, i := range []store.Image{sameID, sameKey, image} {
		_, _, err := s.CreateImage(t.Context(), i, Release("f", "k", "i"), Present)
		if !errors.Is(err, store.ErrDeleted) || !errors.Is(s.CheckTombstones(t.Context(), i.ID, i.UnsealingKeyHash), store.ErrDeleted) {
			t.Errorf("got %v", err)
		}
	}
	create(t, s, Image("image"), Release("f", "k", "i")) // the name is free
	living := Image("other")
	living.UnsealingKeyHash = create1(t, s, "third").UnsealingKeyHash
	if _, _, err := s.CreateImage(t.Context(), living, Release("f", "k", "i"), Present); !errors.Is(err, store.ErrExists) {
		t.Errorf("key of another image: got %v", err)
	}
	d.exec(t, q(`DELETE FROM tombstones`)...)
	if err := s.VerifyRows(t.Context()); !errors.Is(err, store.ErrTampered) {
		t.Errorf("without tombstones: got %v", err)
	}
}

func create1(t *testing.T, s *store.Store, name string) store.Image {
	t.Helper()
	image, _ := create(t, s, Image(name), Release("f", "k", "i"))
	return image
}

// So many launches have their keys within a period, those that ask again included once.
func testLaunchLimit(t *testing.T, d Database) {
	clock := NewClock(0)
	s := d.Open(t, store.Options{Now: clock.Now})
	image, release := create(t, s, Image("image"), Release("f", "k", "i"))
	for _, bad := range []store.LaunchLimit{{Max: -1, Period: time.Hour}, {Max: 1}, {Period: time.Hour}, {Max: 1, Period: time.Millisecond}} {
		if err := s.SetLaunchLimit(t.Context(), image.ID, bad); !errors.Is(err, store.ErrInvalid) {
			t.Errorf("%+v: got %v", bad, err)
		}
	}
	if err := s.SetLaunchLimit(t.Context(), wire.NewUUID(), store.LaunchLimit{Max: 1, Period: time.Hour}); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("no image: got %v", err)
	}
	if err := s.SetLaunchLimit(t.Context(), image.ID, store.LaunchLimit{Max: 2, Period: time.Hour}); err != nil {
		t.Fatal(err)
	}
	launch := launchOf(t, s, image, release)
	ask := func(claim *store.Claim) audit.Entry {
		t.Helper()
		u := GrantedOf(launch)
		u.Nonce.Expires = clock.Now().Add(time.Minute)
		if claim != nil {
			u.Claim = claim
		}
		return record(t, s, u)
	}
	first := GrantedOf(launch)
	for i, want := range []audit.Reason{"", "", "", "", audit.ReasonLaunchLimit, audit.ReasonLaunchLimit} {
		claim := first.Claim
		if i == 3 || i > 3 {
			claim = nil
		}
		if got := ask(claim); got.Granted() != (want == "") || got.Reason != want {
			t.Errorf("%d: got %+v, want %q", i, got, want)
		}
	}
	clock.Advance(time.Hour + time.Second)
	if got := ask(nil); !got.Granted() {
		t.Errorf("in the next period: got %+v", got)
	}
}
