package qemu

import (
	"os/exec"
	"syscall"
)

// endWithParent ends a program when this one is killed. qemu-nbd would wait for
// ever for a client that was killed before it connected, and keep the image locked;
// it forgets a SIGTERM that comes while it starts. To the image it is a power cut.
func endWithParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
