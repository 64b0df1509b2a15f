// Probe is the init of small images: it tells on the console what it finds, and ends.
package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

func main() {
	say("arguments", strings.Join(os.Args, " "))
	say("environment", strings.Join(os.Environ(), " "))
	say("pid", fmt.Sprint(os.Getpid()))
	say("clock", time.Now().UTC().Format(time.RFC3339))
	say("machine-id", content("/etc/machine-id"))
	root()
	say("status", run("/run/snpguard/agent", "status"))
	say("done", "")
	time.Sleep(time.Second) // until the console has it
}

// say prints a line; spaces are made one.
func say(what, text string) {
	fmt.Printf("PROBE %s: %s\n", what, strings.Join(strings.Fields(text), " "))
}

func content(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

func run(program string, args ...string) string {
	out, err := exec.CommandContext(context.Background(), program, args...).CombinedOutput()
	if err != nil {
		return err.Error()
	}
	return string(out)
}

func names(dir string) string {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err.Error()
	}
	var all []string
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return strings.Join(all, " ")
}

// root tells of which device the root is, and how it is mounted.
func root() {
	var st unix.Stat_t
	if err := unix.Stat("/", &st); err != nil {
		say("root", err.Error())
		return
	}
	device := fmt.Sprintf("/sys/dev/block/%d:%d", unix.Major(st.Dev), unix.Minor(st.Dev))
	say("root", content(filepath.Join(device, "dm/name")))
	say("on", names(filepath.Join(device, "slaves")))
	var points []string
	for line := range strings.Lines(content("/proc/self/mountinfo")) {
		f := strings.Fields(line) // proc_pid_mountinfo(5)
		if points = append(points, f[4]); f[4] == "/" {
			say("options", strings.Join(f[5:], " "))
		}
	}
	say("mounts", strings.Join(points, " "))
}
