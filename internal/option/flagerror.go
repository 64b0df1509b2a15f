package option

import (
	"errors"
	"fmt"
	"math"

	"github.com/spf13/pflag"
)

// FlagError says in plain words what is wrong with a flag that cannot be read, as in
// `--since: "yesterday" is not a duration; try 24h or 30m`. It returns every other
// error as it is.
func FlagError(err error) error {
	var invalid *pflag.InvalidValueError
	var none *pflag.ValueRequiredError
	var unknown *pflag.NotExistError
	switch {
	case errors.As(err, &invalid):
		return fmt.Errorf("--%s: %w", invalid.GetFlag().Name, Value(err))
	case errors.As(err, &none):
		return fmt.Errorf("--%s needs a value", none.GetFlag().Name)
	case errors.As(err, &unknown) && unknown.GetSpecifiedShortnames() != "":
		return fmt.Errorf("unknown flag: -%s; flags begin with two dashes", unknown.GetSpecifiedShortnames())
	}
	return err
}

// Value says what is wrong with the value of a flag, without the flag's name: the
// same value may come from a variable or a file. It returns every other error as it
// is.
func Value(err error) error {
	var invalid *pflag.InvalidValueError
	if !errors.As(err, &invalid) {
		return err
	}
	text, cause := invalid.GetValue(), errors.Unwrap(invalid)
	want := ""
	switch invalid.GetFlag().Value.Type() {
	case "duration":
		return fmt.Errorf("%q is not a duration; try 24h or 30m", text)
	case "int":
		want = "whole number"
	case "intSlice":
		want = "whole number, or a list of them such as 2,4"
	case "uint":
		want = "whole number of 0 or more"
	case "uint32":
		want = fmt.Sprintf("whole number from 0 to %d", uint32(math.MaxUint32))
	case "float64":
		want = "number such as 5 or 0.5"
	case "bool":
		return fmt.Errorf("%q is not true or false", text)
	default:
		return cause // these have words of their own
	}
	return fmt.Errorf("%q is not a %s", text, want)
}
