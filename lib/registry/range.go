package registry

import (
	"strconv"
	"strings"
)

// span is a part of a blob: length bytes from start.
type span struct{ start, length int64 }

// parseRange parses a Range header (RFC 9110, section 14.2) for content of size
// bytes. whole reports whether to send all of it: for another unit, or several
// ranges, which a server may ignore. The error is ErrRange for a range that is
// malformed or outside the content.
func parseRange(header string, size int64) (s span, whole bool, err error) {
	spec, ok := strings.CutPrefix(header, "bytes=")
	if !ok || strings.Contains(spec, ",") {
		return span{0, size}, true, nil
	}
	first, last, ok := strings.Cut(strings.TrimSpace(spec), "-")
	start, startErr := parseOffset(first)
	end, endErr := parseOffset(last)
	switch {
	case first == "": // "-N": the last N bytes
		start, end, startErr = size-min(end, size), size-1, nil
	case last == "":
		end, endErr = size-1, nil
	}
	if !ok || startErr != nil || endErr != nil || start >= size || end < start {
		return span{}, false, ErrRange
	}
	return span{start, min(end, size-1) - start + 1}, false, nil
}

// parseContentRange parses the Content-Range header of an upload: two inclusive
// offsets without a unit (distribution-spec, "Pushing a blob in chunks"). The error
// is ErrRange.
func parseContentRange(header string) (span, error) {
	first, last, ok := strings.Cut(header, "-")
	if !ok {
		return span{}, ErrRange
	}
	start, err := parseOffset(first)
	if err != nil {
		return span{}, err
	}
	end, err := parseOffset(last)
	if err != nil || end < start || end-start+1 <= 0 {
		return span{}, ErrRange
	}
	return span{start, end - start + 1}, nil
}

// parseOffset parses a number without a sign, which strconv would accept.
func parseOffset(s string) (int64, error) {
	if strings.Trim(s, "0123456789") != "" {
		return 0, ErrRange
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return 0, ErrRange
	}
	return n, nil
}
