package boot

import (
	"context"
	"fmt"
	"time"
)

// deadline ends a boot, unless it is paused.
type deadline struct {
	cancel context.CancelCauseFunc
	timer  *time.Timer
	ends   time.Time
}

// limit begins the deadline that the configuration has, which counts from the agent's
// start and not while it was paused.
func (b *Boot) limit(cancel context.CancelCauseFunc) *deadline {
	of := time.Duration(b.config.Deadline) * time.Second
	left := of - b.Log.Elapsed() + b.paused
	return &deadline{
		cancel: cancel, ends: time.Now().Add(left),
		timer: time.AfterFunc(left, func() { cancel(fmt.Errorf("the deadline of %v has passed", of)) }),
	}
}

// pauseDeadline stops the deadline until resume is called. The boot ends when alive is not
// called for as long as stuck: what is under way takes its time, and must get on.
func (b *Boot) pauseDeadline(stuck time.Duration) (alive, resume func()) {
	d, began := b.deadline, time.Now()
	d.timer.Stop()
	watchdog := time.AfterFunc(stuck, func() { d.cancel(fmt.Errorf("the disk has not got on for %v", stuck)) })
	return func() { watchdog.Reset(stuck) }, func() {
		watchdog.Stop()
		paused := time.Since(began)
		b.paused += paused
		d.ends = d.ends.Add(paused)
		d.timer.Reset(time.Until(d.ends))
	}
}
