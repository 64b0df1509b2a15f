package boot

import (
	"time"

	"golang.org/x/sys/unix"
)

// lock keeps the agent's memory out of swap. There is none yet; this holds even
// if a host could add some. Not every kernel allows it, and nothing depends on it.
func lock() {
	_ = unix.Mlockall(unix.MCL_CURRENT | unix.MCL_FUTURE | unix.MCL_ONFAULT)
}

// PowerOff ends the machine. Where the kernel cannot, nothing happens any more.
// What the agent wrote to the disk it has synced itself: sync(2) here would wait
// for ever for a disk that the host does not let answer.
func PowerOff() {
	_ = unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
	_ = unix.Reboot(unix.LINUX_REBOOT_CMD_HALT)
	for {
		time.Sleep(time.Hour)
	}
}
