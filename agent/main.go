// Snpguard-agent is the program that the kernel starts first in a converted
// image: it attests the boot, unlocks the root and hands over to the
// distribution. In the running system it tells how that went.
package main

import (
	"os"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/boot"
	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/command"
	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/report"
	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/timeline"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/bootconf"
	"github.com/snpguard-go/packer-plugin-snpguard/version"
)

func main() {
	// The first program of a container has PID 1 too, but another name.
	if os.Getpid() == 1 && os.Args[0] == bootconf.PathAgent {
		log := timeline.New(timeline.Kmsg{Path: "/dev/kmsg", Fallback: os.Stderr}, time.Now)
		(&boot.Boot{Log: log, Version: version.String(), Machine: boot.ThisMachine()}).Run()
		boot.PowerOff()
	}
	program := command.Program{
		Root: "/", Version: version.String(), Providers: report.Providers(), Stdout: os.Stdout, Stderr: os.Stderr,
	}
	os.Exit(program.Run(os.Args[1:]))
}
