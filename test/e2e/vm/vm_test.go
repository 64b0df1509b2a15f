package vm_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/test/e2e/vm"
)

// long is a time that nothing here needs.
const long = 30 * time.Second

func start(t *testing.T, script string) *vm.VM {
	t.Helper()
	v, err := vm.Start(t.Context(), []string{"sh", "-c", script})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v.Stop)
	return v
}

func TestConsole(t *testing.T) {
	v := start(t, `printf 'Booting\r\n\033[1;32mOK\033[0m \033]0;title\007name: \033(Bdebian\n'; read x; echo "got $x" >&2; exit 3`)
	if m, err := v.Expect(`OK name: (\w+)(!)?\n`, long); err != nil || m[1] != "debian" || m[2] != "" {
		t.Errorf("got %q, %v", m, err)
	}
	if err := v.Send("text\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := v.Expect(`got text`, long); err != nil {
		t.Error(err)
	}
	if code, err := v.Wait(long); err != nil || code != 3 {
		t.Errorf("exit code %d, %v", code, err)
	}
	if v.Log() != "Booting\nOK name: debian\ngot text\n" {
		t.Errorf("log %q", v.Log())
	}
}

// TestPrompt shows a prompt that something else was printed into.
func TestPrompt(t *testing.T) {
	v := start(t, `printf 'host [1.0] noise\nlogin: '; read x; printf 'host login: '; exec sleep 600`)
	if _, err := v.Prompt("host login: ", 20*time.Millisecond, long); err != nil {
		t.Error(err)
	}
	if _, err := v.Prompt("Password: ", 20*time.Millisecond, 100*time.Millisecond); !errors.Is(err, vm.ErrExpected) {
		t.Errorf("got %v", err)
	}
	v = start(t, "echo none; exit 1")
	if _, err := v.Prompt("login: ", time.Millisecond, long); !errors.Is(err, vm.ErrExpected) {
		t.Errorf("of a machine that ends: %v", err)
	}
}

// TestExpectGoesOn shows that a match is used up, also when the machine has ended.
func TestExpectGoesOn(t *testing.T) {
	v := start(t, "echo first; echo second")
	if _, err := v.Wait(long); err != nil {
		t.Fatal(err)
	}
	for _, word := range []string{"first", "second"} {
		if _, err := v.Expect(word, long); err != nil {
			t.Error(err)
		}
	}
	_, err := v.Expect("first", long)
	if !errors.Is(err, vm.ErrExpected) || !strings.Contains(err.Error(), "has ended\nfirst\nsecond\n") {
		t.Errorf("got %v", err)
	}
}

func TestTimeouts(t *testing.T) {
	v := start(t, "echo login:; exec sleep 600")
	_, err := v.Expect("never", 200*time.Millisecond)
	if !errors.Is(err, vm.ErrExpected) {
		t.Errorf("got %v", err)
	}
	if _, err := v.Wait(time.Millisecond); !errors.Is(err, vm.ErrRunning) {
		t.Errorf("got %v", err)
	}
	v.Stop()
	v.Stop()
	if _, err := v.Wait(long); err != nil {
		t.Error(err)
	}
}

func TestNoProgram(t *testing.T) {
	if _, err := vm.Start(t.Context(), []string{"/nonexistent"}); err == nil {
		t.Error("started nothing")
	}
}

// TestKill ends a machine that would say something if it were asked to end.
func TestKill(t *testing.T) {
	v := start(t, `trap 'echo in order; exit' TERM; echo up; while :; do sleep 0.1; done`)
	if _, err := v.Expect("up", long); err != nil {
		t.Fatal(err)
	}
	v.Kill()
	if _, err := v.Wait(long); err != nil || strings.Contains(v.Log(), "in order") {
		t.Errorf("%v, log %q", err, v.Log())
	}
}

// TestDeadLoop boots a sector that stays where it is, and one that moves.
func TestDeadLoop(t *testing.T) {
	for name, tc := range map[string]struct {
		code []byte
		dead bool
	}{
		"stays": {[]byte{0xEB, 0xFE}, true},              // jmp $
		"halts": {[]byte{0xFA, 0xF4, 0xEB, 0xFD}, false}, // cli; hlt
		// jmp between two far ends of the sector
		"moves": {append(append([]byte{0xB9, 0, 0, 0xE2, 0xFE, 0xE9, 0x98, 0}, make([]byte, 152)...), 0xB9, 0, 0, 0xE2, 0xFE, 0xE9, 0x58, 0xFF), false},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			image, socket := filepath.Join(dir, "disk"), filepath.Join(dir, "qmp")
			sector := make([]byte, 1<<20)
			copy(sector, tc.code)
			copy(sector[510:], "\x55\xAA")
			if err := os.WriteFile(image, sector, 0o600); err != nil {
				t.Fatal(err)
			}
			v, err := vm.Start(t.Context(), append([]string{"qemu-system-x86_64", "-accel", "tcg", "-nodefaults", "-display", "none",
				"-drive", "if=virtio,format=raw,file=" + image}, vm.QMPArgs(socket)...))
			if err != nil {
				t.Fatal(err)
			}
			defer v.Stop()
			q, err := vm.DialQMP(t.Context(), socket)
			if err != nil {
				t.Fatalf("%v\n%s", err, v.Log())
			}
			defer q.Close() //nolint:errcheck // the machine goes with it
			within := 8 * time.Second
			if tc.dead {
				within = long
			}
			if err := q.DeadLoop(within); (err == nil) != tc.dead {
				t.Errorf("got %v", err)
			}
		})
	}
}
