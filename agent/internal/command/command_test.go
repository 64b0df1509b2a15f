package command_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/command"
	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/report"
	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/status"
	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/timeline"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// provider makes reports with the data and a table, or fails.
type provider struct{ err error }

func (provider) Name() string { return "fake" }

func (p provider) Report(data [report.DataSize]byte) (*report.Evidence, error) {
	e := &report.Evidence{Report: make([]byte, report.Size), Certificates: bytes.Repeat([]byte{9}, 48)}
	copy(e.Report[0x50:], data[:])
	return e, p.err
}

// run runs one command on a system with the given root directory.
func run(root string, p provider, args ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	program := command.Program{Root: root, Version: "1.2.3", Providers: []report.Provider{p}, Stdout: &out, Stderr: &errs}
	code = program.Run(args)
	return code, out.String(), errs.String()
}

func attested(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	raw := make([]byte, report.Size)
	raw[0x90] = 0xAB
	fields, err := report.ParseFields(raw)
	if err != nil {
		t.Fatal(err)
	}
	s := &status.Status{
		Format: status.Format, Agent: "1.2.3", Simulated: true, Service: "https://attest.example.org", Provider: "sev-guest", Certificates: 77,
		Report: raw, Fields: fields, Root: status.Root{Device: "/dev/mapper/cryptroot", Partition: "vda1"}, Steps: []timeline.Step{{Name: "unlock", Seconds: 0.5}},
	}
	if err := s.Write(filepath.Join(root, status.Path)); err != nil {
		t.Fatal(err)
	}
	return root
}

// TestStatusOfInstance shows which VM of its image this is.
func TestStatusOfInstance(t *testing.T) {
	root := attested(t)
	path := filepath.Join(root, status.Path)
	s, err := status.Read(path)
	if err != nil {
		t.Fatal(err)
	}
	s.Instance = &status.Instance{ID: wire.UUID{0xAB}, State: wire.StateReady, Generation: 7}
	if err := s.Write(path); err != nil {
		t.Fatal(err)
	}
	if code, out, _ := run(root, provider{}, "status"); code != 0 || !strings.Contains(out, "instance      ab000000-0000-0000-0000-000000000000, ready, generation 7\n") {
		t.Errorf("code %d:\n%s", code, out)
	}
	if _, out, _ := run(root, provider{}, "status", "--json"); !strings.Contains(out, `"generation": 7`) {
		t.Errorf("JSON:\n%s", out)
	}
}

func TestStatus(t *testing.T) {
	root := attested(t)
	code, out, _ := run(root, provider{}, "status")
	for _, want := range []string{
		"SIMULATED AMD-SP: this boot proves nothing\n", "service       https://attest.example.org\n", "measurement   ab00", "77 bytes from the host",
		"/dev/mapper/cryptroot on vda1", "  unlock      0.500 s\n",
	} {
		if code != 0 || !strings.Contains(out, want) {
			t.Errorf("exit code %d, no %q in\n%s", code, want, out)
		}
	}
	code, out, _ = run(root, provider{}, "status", "--json")
	var s status.Status
	if err := json.Unmarshal([]byte(out), &s); code != 0 || err != nil || !s.Simulated || len(s.Report) != report.Size {
		t.Errorf("exit code %d, %v, %s", code, err, out)
	}
	if code, _, errs := run(t.TempDir(), provider{}, "status"); code != 1 || !strings.Contains(errs, "not unlocked by a SnpGuard agent") {
		t.Errorf("exit code %d, %s", code, errs)
	}
}

func TestReport(t *testing.T) {
	nonce := bytes.Repeat([]byte{0x5A}, 64)
	want := wire.ReportData(nonce)
	for name, text := range map[string]string{
		"hexadecimal": strings.Repeat("5a", 64), "base64": base64.StdEncoding.EncodeToString(nonce),
	} {
		code, out, errs := run("/", provider{}, "report", "--nonce", text)
		if code != 0 || len(out) != report.Size+48 || out[0x50:0x90] != string(want[:]) || out[report.Size] != 9 {
			t.Errorf("%s: exit code %d, %d bytes, %s", name, code, len(out), errs)
		}
	}
	path := filepath.Join(t.TempDir(), "report.bin")
	if code, out, errs := run("/", provider{}, "report", "--nonce", strings.Repeat("5a", 16), "--out", path); code != 0 || out != "" {
		t.Errorf("exit code %d, %q, %s", code, out, errs)
	}
	written, err := os.ReadFile(path)
	want = wire.ReportData(nonce[:16])
	if err != nil || len(written) != report.Size+48 || !bytes.Equal(written[0x50:0x90], want[:]) {
		t.Errorf("%v, %d bytes", err, len(written))
	}
	code, _, errs := run("/", provider{errors.New("busy")}, "report", "--nonce", strings.Repeat("5a", 16))
	if code != 3 || !strings.Contains(errs, "fake: busy") {
		t.Errorf("exit code %d, %s", code, errs)
	}
}

// A program of the guest plays the verifier whose nonce is another transcript's
// hash, such as an unlock request's: the report it gets says nothing of the sort.
func TestReportIsNoOracle(t *testing.T) {
	other := wire.UnlockBinding{Nonce: make([]byte, wire.NonceSize), PublicKey: make([]byte, wire.PublicKeySize)}.ReportData()
	code, out, errs := run("/", provider{}, "report", "--nonce", hex.EncodeToString(other[:]))
	if code != 0 || len(out) < 0x90 {
		t.Fatalf("exit code %d, %s", code, errs)
	}
	if out[0x50:0x90] == string(other[:]) {
		t.Error("REPORT_DATA is what the caller chose")
	}
}

func TestKeep(t *testing.T) {
	root := attested(t)
	if err := os.MkdirAll(filepath.Join(root, "snpguard"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Rename(filepath.Join(root, status.Path), filepath.Join(root, status.PathInitrd)),
		os.WriteFile(filepath.Join(root, "snpguard/agent"), nil, 0o600), os.WriteFile(filepath.Join(root, "snpguard/config.json"), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	if code, _, errs := run(root, provider{}, "keep"); code != 0 {
		t.Errorf("exit code %d, %s", code, errs)
	}
	if code, _, _ := run(root, provider{}, "status"); code != 0 {
		t.Errorf("exit code %d after keep", code)
	}
}

func TestCommandLines(t *testing.T) {
	for line, want := range map[string]struct {
		code int
		text string
	}{
		"version":                 {0, "snpguard-agent 1.2.3"},
		"--version":               {0, "snpguard-agent 1.2.3"},
		"--help":                  {0, "snpguard-agent report"},
		"status --help":           {0, "snpguard-agent report"},
		"":                        {2, "want the command status, report, update, confirm or version"},
		"shell":                   {2, `unknown command "shell"`},
		"status now":              {2, `unexpected argument "now"`},
		"update --check --reboot": {2, "--check and --reboot cannot be used together"},
		"update all":              {2, `unexpected argument "all"`},
		"update":                  {1, "not unlocked by a SnpGuard agent"},
		"confirm":                 {1, "not unlocked by a SnpGuard agent"},
		"confirm --now":           {2, "unknown flag: --now"},
		"status --yaml":           {2, "unknown flag: --yaml"},
		"status --json=much":      {2, "--json takes no value"},
		"report":                  {2, "--nonce is missing"},
		"report --nonce !!":       {2, "neither hexadecimal nor base64"},
		"report --nonce 00112233": {2, "--nonce: 4 bytes, want 16 to 64"},
		"report --nonce " + strings.Repeat("00", 65): {2, "--nonce: 65 bytes"},
	} {
		code, out, errs := run(t.TempDir(), provider{}, strings.Fields(line)...)
		if code != want.code || !strings.Contains(out+errs, want.text) {
			t.Errorf("%q: exit code %d, %s%s", line, code, out, errs)
		}
	}
}
