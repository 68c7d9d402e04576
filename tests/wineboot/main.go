//go:build windows

// Command wineboot is what Wine runs before the first program. Wine's own starts
// services, which the tools do not need; this one only lets the programs go on that
// were started at the same time, and else would wait for five minutes.
package main

import (
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/windows"
)

func main() {
	name, err := windows.NewNTUnicodeString(`\KernelObjects\__wineboot_event`)
	if err != nil {
		panic(err) // it is a constant
	}
	object := windows.OBJECT_ATTRIBUTES{ObjectName: name, Attributes: windows.OBJ_OPENIF}
	object.Length = uint32(unsafe.Sizeof(object))
	const all, notification = 0x1f0003, 0 // EVENT_ALL_ACCESS, NotificationEvent
	ntdll := windows.NewLazySystemDLL("ntdll.dll")
	var event windows.Handle
	if status, _, _ := ntdll.NewProc("NtCreateEvent").Call(uintptr(unsafe.Pointer(&event)), all, uintptr(unsafe.Pointer(&object)), notification, 0); int32(status) < 0 {
		fmt.Fprintf(os.Stderr, "wineboot: create an event: %#x\n", status)
		os.Exit(1)
	}
	if err := windows.SetEvent(event); err != nil {
		fmt.Fprintln(os.Stderr, "wineboot:", err)
		os.Exit(1)
	}
}
