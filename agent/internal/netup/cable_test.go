package netup

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// cable gives the test's thread a network of its own, whose one interface leads
// to host, where another thread stands: what host is told to do it does over
// there. Without root's rights the test runs again in a user namespace, and
// ready is false.
func cable(t *testing.T) (guest Link, host func(func() error), ready bool) {
	t.Helper()
	if os.Geteuid() != 0 {
		inUserNamespace(t)
		return Link{}, nil, false
	}
	runtime.LockOSThread() // for good: the thread ends with the test
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Fatalf("make a network namespace: %v", err)
	}
	tasks, done := make(chan func() error), make(chan error)
	go func() {
		runtime.LockOSThread()
		for task := range tasks {
			done <- task()
		}
	}()
	t.Cleanup(func() { close(tasks) })
	host = func(task func() error) {
		t.Helper()
		tasks <- task
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	thread := 0
	host(func() error { thread = unix.Gettid(); return unix.Unshare(unix.CLONE_NEWNET) })
	mac := net.HardwareAddr{2, 0, 0, 0, 0, 1}
	pair := netlink.NewVeth(netlink.LinkAttrs{Name: "eth0", HardwareAddr: mac})
	pair.PeerName, pair.PeerNamespace = "host0", netlink.NsPid(thread)
	if err := netlink.LinkAdd(pair); err != nil {
		t.Fatal(err)
	}
	host(func() error {
		return errors.Join(up("lo"), up("host0"), address("host0", "10.0.2.2/24"), address("host0", "fd00::2/64"), address("host0", "fe80::2/64"))
	})
	link, err := netlink.LinkByName("eth0")
	if err != nil {
		t.Fatal(err)
	}
	return Link{"eth0", link.Attrs().Index, mac, link.Attrs().MTU}, host, true
}

// inUserNamespace runs the test in another process, as root of a user namespace.
func inUserNamespace(t *testing.T) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^"+t.Name()+"$", "-test.v")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}, GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
	}
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Fatalf("as root of a user namespace: %v\n%s", err, out)
	}
}

func up(name string) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	return netlink.LinkSetUp(link)
}

func address(name, text string) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	a, err := netlink.ParseAddr(text)
	if err != nil {
		return err
	}
	if a.IP.To4() == nil {
		a.Flags = unix.IFA_F_NODAD
	}
	return netlink.AddrReplace(link, a)
}

// addresses are those of the interface, but for the kernel's own.
func addresses(t *testing.T, l Link) string {
	t.Helper()
	list, err := netlink.AddrList(at(l), netlink.FAMILY_ALL)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, a := range list {
		if !a.IP.IsLinkLocalUnicast() {
			all = append(all, a.IPNet.String())
		}
	}
	return strings.Join(all, " ")
}

// gateways are those of the routes that lead off the link.
func gateways(t *testing.T, l Link) string {
	t.Helper()
	list, err := netlink.RouteList(at(l), netlink.FAMILY_ALL)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, r := range list {
		if r.Gw != nil {
			all = append(all, r.Gw.String())
		}
	}
	return strings.Join(all, " ")
}
