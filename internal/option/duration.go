package option

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

const day = 24 * time.Hour

// maxDays is the longest time in days that a time.Duration holds.
const maxDays = int64(1<<63-1) / int64(day)

// Duration is a flag for a time as people write it: 30d, or what
// time.ParseDuration takes. It implements pflag.Value.
type Duration time.Duration

// Set reads a time.
func (d *Duration) Set(text string) error {
	if number, found := strings.CutSuffix(text, "d"); found {
		days, err := strconv.ParseUint(number, 10, 32)
		if err != nil || int64(days) > maxDays {
			return fmt.Errorf("%q is not a duration; try 24h or 30d", text)
		}
		*d = Duration(time.Duration(days) * day)
		return nil
	}
	parsed, err := time.ParseDuration(text)
	if err != nil {
		return fmt.Errorf("%q is not a duration; try 24h or 30d", text)
	}
	*d = Duration(parsed)
	return nil
}

// String returns whole days from two on as such, and no units that are zero.
func (d *Duration) String() string { return DurationText(time.Duration(*d)) }

// Type names the kind of value.
func (d *Duration) Type() string { return "time" }

// DurationText writes a time as Duration reads it: 90d, 24h, 1h30m.
func DurationText(d time.Duration) string {
	if d >= 2*day && d%day == 0 {
		return fmt.Sprintf("%dd", d/day)
	}
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
