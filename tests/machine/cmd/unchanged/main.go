// Command unchanged holds a test run to its own directories: without an
// argument it prints a list of the machine's files, and with such a list it
// prints what has changed since, and exits 1 if anything has.
//
//	unchanged >before
//	unchanged before
package main

import (
	"encoding/json"
	"fmt"
	"os"

	"k0rdent-airgap/tests/machine"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "unchanged:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) == 0 {
		return json.NewEncoder(os.Stdout).Encode(machine.List())
	}
	text, err := os.ReadFile(args[0])
	if err != nil {
		return err
	}
	var before map[string]string
	if err := json.Unmarshal(text, &before); err != nil {
		return err
	}
	changes := machine.Changes(before, machine.List())
	for _, change := range changes {
		fmt.Println(change)
	}
	if len(changes) > 0 {
		return fmt.Errorf("files of this machine changed: %d", len(changes))
	}
	return nil
}
