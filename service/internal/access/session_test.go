package access_test

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"testing"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/access"
)

func (w *world) newSession(t *testing.T) access.Session {
	t.Helper()
	session, err := w.sessions.Start(t.Context(), w.given(t))
	if err != nil {
		t.Fatal(err)
	}
	return session
}

func (w *world) sessionEnded(t *testing.T, secret string) bool {
	t.Helper()
	_, err := w.sessions.Authenticate(t.Context(), secret)
	if err != nil && !errors.Is(err, access.ErrUnauthenticated) {
		t.Fatal(err)
	}
	return err != nil
}

func TestSession(t *testing.T) {
	w := newWorld(t)
	session := w.newSession(t)
	p, err := w.sessions.Authenticate(t.Context(), session.Secret)
	if err != nil || !p.Session || p.Role != wire.RoleAdmin || p.ID != session.ID || p.Actor() != "session "+session.ID {
		t.Errorf("got %+v, %v", p, err)
	}
	if !access.IsSession(session.Secret) || access.IsSession("snpg_x") {
		t.Error("sessions and tokens cannot be told apart")
	}
	if w.newSession(t).Secret == session.Secret {
		t.Error("two sessions are the same")
	}
	if err := w.sessions.End(t.Context(), session.Secret); err != nil {
		t.Fatal(err)
	}
	if !w.sessionEnded(t, session.Secret) {
		t.Error("an ended session is good")
	}
}

func TestSessionIdle(t *testing.T) {
	w := newWorld(t)
	idle, used := w.newSession(t), w.newSession(t)
	for range 3 {
		w.clock.Advance(access.SessionIdle / 2)
		if w.sessionEnded(t, used.Secret) {
			t.Fatal("a session in use has ended")
		}
	}
	if !w.sessionEnded(t, idle.Secret) {
		t.Error("an idle session is good")
	}
}

func TestSessionLifetime(t *testing.T) {
	w := newWorld(t)
	session := w.newSession(t)
	for range int(access.SessionLifetime/(access.SessionIdle/2)) - 1 {
		w.clock.Advance(access.SessionIdle / 2)
		if w.sessionEnded(t, session.Secret) {
			t.Fatal("a session in use has ended")
		}
	}
	w.clock.Advance(access.SessionIdle / 2)
	if !w.clock.Now().Equal(session.ExpiresAt) || !w.sessionEnded(t, session.Secret) {
		t.Errorf("at %s a session is good that ends at %s", w.clock.Now(), session.ExpiresAt)
	}
}

// TestSessionForged changes the time in a secret and its form.
func TestSessionForged(t *testing.T) {
	w := newWorld(t)
	secret := w.newSession(t).Secret
	later := binary.BigEndian.AppendUint64(nil, uint64(w.clock.Now().Add(day).UnixMicro()))
	for name, forged := range map[string]string{
		"later":        "snps_" + base64.RawURLEncoding.EncodeToString(later) + secret[16:],
		"short":        secret[:len(secret)-1],
		"long":         secret + "A",
		"only time":    secret[:16],
		"prefix":       "snps_",
		"token":        "snpg_" + secret[5:],
		"not base64":   secret[:5] + "!" + secret[6:],
		"another form": secret[:15] + "_" + secret[16:],
	} {
		if !w.sessionEnded(t, forged) {
			t.Errorf("%s: %q is good", name, forged)
		}
	}
	if w.sessionEnded(t, secret) {
		t.Error("the session itself is not good")
	}
}

// TestEndOfNothing ends what is no session: others go on.
func TestEndOfNothing(t *testing.T) {
	w := newWorld(t)
	session := w.newSession(t)
	for _, secret := range []string{"", "nonsense", session.Secret + "x", session.Secret[:len(session.Secret)-1]} {
		if err := w.sessions.End(t.Context(), secret); err != nil {
			t.Errorf("%q: %v", secret, err)
		}
	}
	if w.sessionEnded(t, session.Secret) {
		t.Error("the session has ended")
	}
}

// TestEndedSessionStaysEnded ends all sessions while one is used.
func TestEndedSessionStaysEnded(t *testing.T) {
	w := newWorld(t)
	session := w.newSession(t)
	w.clock.Advance(5 * time.Minute) // so that its use is worth writing
	racing := access.NewSessions(endingStore{w.store}, lookupKey(), w.clock.Now)
	if _, err := racing.Authenticate(t.Context(), session.Secret); !errors.Is(err, access.ErrUnauthenticated) {
		t.Errorf("got %v", err)
	}
	if !w.sessionEnded(t, session.Secret) {
		t.Error("an ended session came back")
	}
}

// TestLogInRacesPasswordChange gives the old password, which is changed before the
// session of it is made, or right after: no session of it is left.
func TestLogInRacesPasswordChange(t *testing.T) {
	w := newWorld(t)
	given := w.given(t)
	change, err := w.passwords.Change(t.Context(), "192.0.2.1", w.password, "five plain words of mine")
	if err != nil {
		t.Fatal(err)
	}
	before := w.newSession(t)
	if err := change.Apply(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !w.sessionEnded(t, before.Secret) {
		t.Error("a session that was made before the change outlives it")
	}
	if session, err := w.sessions.Start(t.Context(), given); !errors.Is(err, access.ErrWrongPassword) {
		t.Errorf("the old password, checked before the change: got %+v, %v", session, err)
	}
}

// TestForgedSecrets writes rows for secrets of one's own: without the key nobody can
// make the hash by which they are found, and a row with another role is refused.
func TestForgedSecrets(t *testing.T) {
	w := newWorld(t)
	other := access.NewTokens(w.store, []byte("key of the attacker"), w.clock.Now)
	_, secret, err := other.Create(t.Context(), wire.TokenRequest{Name: "mine", Role: wire.RoleAdmin, ExpiresIn: 60})
	if err != nil {
		t.Fatal(err)
	}
	if p, err := w.tokens.Authenticate(t.Context(), secret); !errors.Is(err, access.ErrUnauthenticated) {
		t.Errorf("token: got %+v, %v", p, err)
	}
	session, err := access.NewSessions(w.store, []byte("key of the attacker"), w.clock.Now).Start(t.Context(), w.given(t))
	if err != nil {
		t.Fatal(err)
	}
	if !w.sessionEnded(t, session.Secret) {
		t.Error("a session that was hashed under another key is good")
	}
}
