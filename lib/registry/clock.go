package registry

import (
	"encoding/json"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// clockFile holds a clockNote.
const clockFile = "clock"

// clockSize is the constant length of clockFile in bytes, so that it can be written
// while the disk is full.
const clockSize = 256

// saveEvery is how much of the storage's time a power failure may lose.
const saveEvery = time.Hour

// clock is the storage's own time, which dates all that the store dates. Whatever
// the host's clock is set to, it is never ahead of real time: it only advances by
// time that has certainly passed, since the last note or, if the host has been
// restarted since, since that start.
type clock struct {
	mu      sync.Mutex
	note    clockNote
	saved   time.Duration // uptime at the last save
	unclean bool          // the storage was not closed in order
}

// clockNote is the content of clockFile.
type clockNote struct {
	Time   time.Time     `json:"time"`   // of the storage
	Boot   string        `json:"boot"`   // ID of the host's start
	Uptime time.Duration `json:"uptime"` // since then
	Closed bool          `json:"closed"` // the storage was closed in order
}

func uptime() time.Duration {
	var t unix.Timespec
	if unix.ClockGettime(unix.CLOCK_BOOTTIME, &t) != nil {
		return 0
	}
	return time.Duration(t.Nano())
}

func bootID() string {
	id, _ := os.ReadFile("/proc/sys/kernel/random/boot_id") // "" if unknown
	return strings.TrimSpace(string(id))
}

// advance returns the note at a later uptime.
func (n clockNote) advance(boot string, up time.Duration) clockNote {
	switch {
	case boot == "":
	case boot != n.Boot:
		n.Time = n.Time.Add(up)
	case up > n.Uptime:
		n.Time = n.Time.Add(up - n.Uptime)
	}
	n.Boot, n.Uptime = boot, up
	return n
}

// open reads the last process's note. Without one, time starts at the host's.
func (c *clock) open(t *tree) {
	boot, up := bootID(), uptime()
	c.note = clockNote{Time: time.Now().UTC(), Boot: boot, Uptime: up, Closed: true}
	var last clockNote
	if text, err := t.root.ReadFile(clockFile); err == nil && json.Unmarshal(text, &last) == nil && !last.Time.IsZero() {
		c.note = last.advance(boot, up)
		c.unclean = !last.Closed
	}
	c.note.Closed = false
}

// now returns the storage's time, and saves it every saveEvery.
func (c *clock) now(t *tree) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	up := uptime()
	c.note = c.note.advance(c.note.Boot, up)
	if up-c.saved > saveEvery {
		c.save(t) // the next call retries
	}
	return c.note.Time
}

// save writes the note in place. A torn one counts as none.
func (c *clock) save(t *tree) error {
	text, err := json.Marshal(c.note)
	if err != nil {
		return err
	}
	f, err := t.root.OpenFile(clockFile, os.O_WRONLY|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	defer f.Close()
	padded := append(text, strings.Repeat(" ", max(0, clockSize-len(text)-1))+"\n"...)
	if _, err := f.WriteAt(padded, 0); err != nil {
		return err
	}
	c.saved = c.note.Uptime
	return t.sync(f, clockFile)
}

// close records that the storage was closed in order.
func (c *clock) close(t *tree) error {
	c.now(t)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.note.Closed = true
	return c.save(t)
}
