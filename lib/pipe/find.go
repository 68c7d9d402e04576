package pipe

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"

	"k0rdent-airgap/lib/record"
)

// finding describes the records found in the content of stdin.
type finding struct {
	any   bool         // there are records
	bad   *record.Line // the first one with a signature that is bad or unknown
	err   error        // of bad
	begun bool         // the data may end within a record
}

// find looks for records: on lines of their own, as they should be, or
// reformatted by a filter.
func find(data []byte, ended bool) (f finding) {
	ended = ended || len(data) >= peekSize
	for data = bytes.TrimSpace(data); len(data) > 0; data = bytes.TrimSpace(data) {
		if data[0] == '{' || data[0] == '[' {
			var value json.RawMessage
			dec := json.NewDecoder(bytes.NewReader(data))
			err := dec.Decode(&value)
			if err == nil {
				f.value(value)
				data = data[dec.InputOffset():]
				continue
			}
			if errors.Is(err, io.ErrUnexpectedEOF) && !ended {
				f.begun = true
				return f
			}
		}
		_, data, _ = bytes.Cut(data, []byte("\n"))
	}
	return f
}

// value examines a JSON value, and the elements of an array.
func (f *finding) value(value json.RawMessage) {
	var all []json.RawMessage
	if json.Unmarshal(value, &all) == nil {
		for _, one := range all {
			f.value(one)
		}
		return
	}
	var line bytes.Buffer
	json.Compact(&line, value) // which it can, since it was decoded
	for read, err := range (Reader{}).Records(context.Background(), &line) {
		f.any = f.any || !errors.Is(err, record.ErrNotRecord)
		if (errors.Is(err, ErrBadSignature) || errors.Is(err, ErrUnverified)) && f.bad == nil {
			read.Raw = bytes.Clone(read.Raw)
			f.bad, f.err = &read, err
		}
	}
}
