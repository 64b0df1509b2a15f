package update

import (
	"crypto/ed25519"
	"encoding/json"
	"strings"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/guestcall"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// FuzzAnswer takes what a service could sign that has been broken into, or has a
// mistake: what comes of it is within bounds. Unsigned, nothing comes of it.
func FuzzAnswer(f *testing.F) {
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	caller := guestcall.Caller{Identity: key.Public().(ed25519.PublicKey)}
	good, err := json.Marshal(wire.UpdateAnswer{State: wire.UpdateAvailable, Waiting: []string{"6.12"}, Available: &wire.AvailableRelease{
		Release: wire.UUID{1}, Kernel: "6.12", SHA256: strings.Repeat("0a", 32), Size: 1, Ticket: make([]byte, wire.TicketSize),
	}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	for _, body := range []string{"", "{}", `{"state":"up_to_date"}`, `{"state":"waiting","waiting":["../x"]}`, `{"state":"available"}`, `{"state":"available","available":{"size":-1}}`} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		call := guestcall.Call{Kind: wire.CallUpdate, Body: []byte("{}")}
		signed := &wire.GuestAnswer{Body: body, Signature: make([]byte, 64)}
		var answer wire.UpdateAnswer
		if caller.Open(call, signed, &answer) == nil {
			t.Fatalf("unsigned: %q", body)
		}
		signed.Signature = ed25519.Sign(key, wire.AnswerTranscript(wire.CallUpdate, call.ReportData, body))
		if caller.Open(call, signed, &answer) != nil {
			return
		}
		if (answer.Available != nil) != (answer.State == wire.UpdateAvailable) || len(answer.Waiting) > wire.MaxKernels {
			t.Errorf("took %+v", answer)
		}
		for _, name := range answer.Waiting {
			if strings.ContainsAny(name, "/\x1b\n") {
				t.Errorf("took the kernel %q", name)
			}
		}
		if a := answer.Available; a != nil && (a.Size <= 0 || len(a.Ticket) != wire.TicketSize || strings.Contains(a.Kernel, "/")) {
			t.Errorf("took %+v", a)
		}
	})
}
