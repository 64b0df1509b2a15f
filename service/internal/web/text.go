package web

import (
	"strconv"
	"time"
)

// ago says how long ago something was, roughly.
func ago(now, t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	d := now.Sub(t)
	if d < 0 {
		return "in " + span(-d)
	}
	if d < 5*time.Second {
		return "just now"
	}
	return span(d) + " ago"
}

// until says how long it is to a time, roughly.
func until(now, t time.Time) string {
	if d := t.Sub(now); d > 0 {
		return "in " + span(d)
	}
	return ago(now, t)
}

// span is a duration in its largest unit.
func span(d time.Duration) string {
	const day = 24 * time.Hour
	for _, unit := range []struct {
		size time.Duration
		name string
	}{{365 * day, "year"}, {30 * day, "month"}, {day, "day"}, {time.Hour, "hour"}, {time.Minute, "minute"}} {
		if n := int64(d / unit.size); n > 0 && (n > 1 || unit.size < 30*day) {
			return plural(n, unit.name)
		}
	}
	if d >= 24*time.Hour {
		return plural(int64(d/day), "day")
	}
	return plural(max(int64(d/time.Second), 1), "second")
}

func plural(n int64, name string) string {
	if n == 1 {
		return "1 " + name
	}
	return grouped(n) + " " + name + "s"
}

// grouped writes a number with a thin space between groups of three digits.
func grouped(n int64) string {
	text := strconv.FormatInt(n, 10)
	for i := len(text) - 3; i > 0 && text[i-1] != '-'; i -= 3 {
		text = text[:i] + "\u202F" + text[i:]
	}
	return text
}

// shortened returns the beginning of a long identifier.
func shortened(text string) string {
	const shown = 12
	if len(text) <= shown {
		return text
	}
	return text[:shown] + "…"
}
