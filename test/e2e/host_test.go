//go:build e2e

package e2e

import (
	"context"
	"io"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// hostChannels are the ways by which a host would run commands in an ordinary guest:
// credentials of systemd by SMBIOS and by fw_cfg, and the port of QEMU's guest agent.
func hostChannels(agentSocket string) []string {
	const unit = "W1NlcnZpY2VdClR5cGU9b25lc2hvdApTdGFuZGFyZE91dHB1dD10dHkKVFRZUGF0aD0vZGV2L3R0eVMwCkV4ZWNTdGFydD0vYmluL2VjaG8gUFdORUQK"
	const want = "W1VuaXRdCldhbnRzPXB3bmVkLnNlcnZpY2UK"
	return []string{
		"-smbios", "type=11,value=io.systemd.credential.binary:systemd.extra-unit.pwned.service=" + unit +
			",value=io.systemd.credential.binary:systemd.unit-dropin.getty.target~pwned=" + want +
			",value=io.systemd.credential:tmpfiles.extra=w+ /dev/ttyS0 - - - - PWNED",
		"-fw_cfg", "name=opt/io.systemd.credentials/tmpfiles.extra,string=w+ /dev/ttyS0 - - - - PWNED",
		"-chardev", "socket,id=qga,server=on,wait=off,path=" + agentSocket,
		"-device", "virtserialport,chardev=qga,name=org.qemu.guest_agent.0",
	}
}

// commanded wants the host to have had no effect by its channels.
func commanded(t *testing.T, console, agentSocket string) {
	t.Helper()
	if strings.Contains(console, "PWNED") {
		t.Error("a credential of the host has run a command")
	}
	conn, err := net.Dial("unix", agentSocket)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, `{"execute":"guest-ping"}`+"\n"); err != nil {
		t.Fatal(err)
	}
	var answer [100]byte
	if n, err := conn.Read(answer[:]); n > 0 {
		t.Errorf("the guest agent answers %q, %v", answer[:n], err)
	}
}

// lateService leads to the service, for the first time after a pause.
func lateService(t *testing.T, opens <-chan struct{}) (url string) {
	t.Helper()
	port := freePort(t)
	go func() {
		select {
		case <-opens:
		case <-t.Context().Done():
			return
		}
		l, err := net.Listen("tcp", "127.0.0.1:"+port)
		if err != nil {
			t.Errorf("late service: %v", err)
			return
		}
		context.AfterFunc(t.Context(), func() { l.Close() })
		for {
			guest, err := l.Accept()
			if err != nil {
				return
			}
			service, err := net.Dial("tcp", "127.0.0.1:"+theWorld.port)
			if err != nil {
				guest.Close()
				return
			}
			go pipe(service, guest)
			go pipe(guest, service)
		}
	}()
	return "https://" + net.JoinHostPort(hostAddress, port)
}

// pipe hands on what comes until either side is closed.
func pipe(to, from net.Conn) {
	defer to.Close()
	io.Copy(to, from) //nolint:errcheck // the guest notices
}

// deadService takes connections and says nothing.
func deadService(t *testing.T) (url string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return "https://" + net.JoinHostPort(hostAddress, netip.MustParseAddrPort(l.Addr().String()).String()[len("127.0.0.1:"):])
}

// inYears is a clock for QEMU's -rtc.
func inYears(n int) []string {
	return []string{"-rtc", "base=" + time.Now().AddDate(n, 0, 0).UTC().Format("2006-01-02T15:04:05")}
}

// TestLateService boots a real image whose first service is dead and whose second
// comes up 30 s after the guest has first asked, ten years in the future.
func TestLateService(t *testing.T) {
	t.Parallel()
	opens := make(chan struct{})
	c := convertImage(t, "debian", filepath.Join(scratch, "late"), "--service", deadService(t), "--service", lateService(t, opens))
	v := boot(t, c, registered(t, "late", c), append([]string{"--snapshot", "--"}, inYears(10)...)...)
	expect(t, v, `snpguard: .* unlock: https://\S+: .*; https://\S+: .*connection refused`, untilAgent)
	time.Sleep(30 * time.Second)
	close(opens)
	expect(t, v, `snpguard: .* unlock: key released by https://`, untilAgent)
	expect(t, v, `snpguard: .* hand-over: to `, untilAgent)
}

// TestSecondBoot boots a real image ten years in the past, on a disk that has grown
// since it was converted and on a host with open channels, takes the power away and
// boots it again.
func TestSecondBoot(t *testing.T) {
	t.Parallel()
	c := converted(t, "debian")
	bundle := registered(t, "debian", c)
	grown := *c
	grown.Image = filepath.Join(t.TempDir(), "grown.qcow2")
	output(t, "cp", c.Image, grown.Image)
	output(t, "qemu-img", "resize", "-q", grown.Image, "+1G")
	socket := filepath.Join(t.TempDir(), "qga")

	v := boot(t, &grown, bundle, append(append([]string{"--"}, inYears(-10)...), hostChannels(socket)...)...)
	expect(t, v, `snpguard: .* disk: vda1 extended from \d+ to \d+ MiB`, untilAgent)
	expect(t, v, `EXT4-fs \(dm-0\): resized filesystem to \d+`, untilLogin)
	prompt(t, v)
	commanded(t, v.Log(), socket)
	v.Stop()

	v = boot(t, &grown, bundle)
	expect(t, v, `snpguard: .* hand-over: to `, untilAgent)
	if strings.Contains(v.Log(), "extended from") {
		t.Error("the partition was extended once more")
	}
	// Services that were writing when the power went may fail now; the root has to
	// open, and its file systems have to come up.
	expect(t, v, `Reached target.* Local File Systems`, untilLogin)
}
