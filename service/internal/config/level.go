package config

import (
	"fmt"
	"log/slog"
)

// levelValue is a flag that takes the least level of what is logged.
type levelValue slog.Level

// Set reads a level by name.
func (v *levelValue) Set(text string) error {
	if err := (*slog.Level)(v).UnmarshalText([]byte(text)); err != nil {
		return fmt.Errorf("unknown level %q: want DEBUG, INFO, WARN or ERROR", text)
	}
	return nil
}

func (v *levelValue) String() string { return slog.Level(*v).String() }

// Type is what --help shows in place of the value.
func (v *levelValue) Type() string { return "level" }
