package cli

import (
	"errors"
	"flag"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"k0rdent-airgap/lib/nearest"
)

// Var declares a flag whose value is what parse returns. The error of parse
// must say what the value must be.
func Var[T any](fs *flag.FlagSet, to *T, name string, parse func(string) (T, error)) {
	fs.Func(name, "", func(s string) error {
		v, err := parse(s)
		if err == nil {
			*to = v
		}
		return err
	})
}

// ListVar declares a flag that may be repeated, or list several values with
// commas.
func ListVar[T any](fs *flag.FlagSet, to *[]T, name string, parse func(string) (T, error)) {
	fs.Func(name, "", func(s string) error {
		for one := range strings.SplitSeq(s, ",") {
			v, err := parse(strings.TrimSpace(one))
			if err != nil {
				return err
			}
			*to = append(*to, v)
		}
		return nil
	})
}

// ChoiceVar declares a flag that has one of a few values. Its default is the
// present value.
func ChoiceVar(fs *flag.FlagSet, to *string, name string, values ...string) {
	Var(fs, to, name, func(s string) (string, error) {
		if slices.Contains(values, s) {
			return s, nil
		}
		return "", errors.New("must be " + alternatives(values) + nearest.Meant(s, values, ""))
	})
}

// alternatives returns "a, b or c".
func alternatives(values []string) string {
	last := len(values) - 1
	if last == 0 {
		return values[0]
	}
	return strings.Join(values[:last], ", ") + " or " + values[last]
}

// CountVar declares a flag that is a positive integer. Its default is the
// present value.
func CountVar(fs *flag.FlagSet, to *int, name string) {
	Var(fs, to, name, func(s string) (int, error) {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 {
			return 0, errors.New("must be a positive integer")
		}
		return n, nil
	})
}

// PortVar declares a flag that is a port, from lowest on. Its default is the
// present value.
func PortVar(fs *flag.FlagSet, to *int, name string, lowest int) {
	Var(fs, to, name, func(s string) (int, error) {
		n, err := strconv.ParseUint(s, 10, 16)
		if err != nil || int(n) < lowest {
			return 0, fmt.Errorf("must be a number from %d to %d", lowest, math.MaxUint16)
		}
		return int(n), nil
	})
}

// DurationVar declares a flag that is a duration greater than 0: 90s, 5m, 1h30m,
// or a number of seconds. Its default is the present value.
func DurationVar(fs *flag.FlagSet, to *time.Duration, name string) {
	Var(fs, to, name, func(s string) (time.Duration, error) {
		d, err := time.ParseDuration(s)
		if _, plain := strconv.ParseUint(s, 10, 32); plain == nil {
			d, err = time.ParseDuration(s + "s")
		}
		if err != nil || d <= 0 {
			return 0, errors.New("must be a duration such as 30s or 5m")
		}
		return d, nil
	})
}

// units are the factors of ParseSize, with the letters of dd(1).
var units = map[string]float64{
	"": 1, "b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40,
	"ki": 1 << 10, "mi": 1 << 20, "gi": 1 << 30, "ti": 1 << 40,
	"kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30, "tib": 1 << 40,
	"kb": 1e3, "mb": 1e6, "gb": 1e9, "tb": 1e12,
}

// ParseSize parses a number of bytes with an optional unit: 1G and 1GiB are 2^30
// bytes and 1GB is 10^9, as for dd, docker and systemd; 1.5GiB and 1073741824
// are possible as well.
func ParseSize(s string) (int64, error) {
	number := strings.TrimRightFunc(s, func(r rune) bool { return r == ' ' || unicode.IsLetter(r) })
	unit, known := units[strings.ToLower(strings.TrimSpace(s[len(number):]))]
	n, err := strconv.ParseFloat(number, 64)
	if !known || err != nil || n < 0 || n*unit >= math.MaxInt64 || strings.ContainsAny(number, "_+eExXpP") {
		return 0, errors.New("must be a size such as 500M or 1.5GiB")
	}
	return int64(n * unit), nil
}

// Exclusive returns misuse if more than one of some flags is given, as
// given reports for each.
func Exclusive(flags []string, given ...bool) error {
	first := ""
	for i, flag := range flags {
		switch {
		case given[i] && first != "":
			return Misuse("%s and %s are mutually exclusive", first, flag)
		case given[i]:
			first = flag
		}
	}
	return nil
}

// Together returns misuse if only one of two flags is given.
func Together(one, other string, oneGiven, otherGiven bool) error {
	switch {
	case oneGiven && !otherGiven:
		return Misuse("%s requires %s", one, other)
	case otherGiven && !oneGiven:
		return Misuse("%s requires %s", other, one)
	}
	return nil
}
