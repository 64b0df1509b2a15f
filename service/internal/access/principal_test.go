package access_test

import (
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/access"
)

// TestParty takes all sessions for one party, for one password opens them, and each
// token for one of its own.
func TestParty(t *testing.T) {
	one, two := access.Principal{Session: true, ID: "1"}, access.Principal{Session: true, ID: "2"}
	if one.Party() != wire.PartyPassword || two.Party() != one.Party() || one.Actor() == two.Actor() {
		t.Errorf("sessions: %q and %q", one.Party(), two.Party())
	}
	a, b := access.Principal{ID: "1", Name: "ci"}, access.Principal{ID: "2", Name: "ci"}
	if a.Party() == b.Party() || a.Party() == one.Party() {
		t.Errorf("tokens: %q and %q", a.Party(), b.Party())
	}
	// No token names itself so that it is taken for another party.
	named := access.Principal{ID: "3", Name: wire.PartyPassword}
	if named.Party() == wire.PartyPassword || named.Party() == wire.PartyService {
		t.Errorf("got %q", named.Party())
	}
}
