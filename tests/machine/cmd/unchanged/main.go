// Command unchanged holds a test run to its own directories and processes: without
// an argument it prints a list of the machine's files and of the processes that run a
// program of the working directory, and with such a list it prints which files have
// changed since and which processes were left behind, and exits 1 if there are any.
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

// state is what a test run must leave as it was.
type state struct{ Files, Running map[string]string }

func look() (state, error) {
	dir, err := os.Getwd()
	return state{machine.List(), machine.Running(dir)}, err
}

func run(args []string) error {
	now, err := look()
	if err != nil {
		return err
	}
	if len(args) == 0 {
		return json.NewEncoder(os.Stdout).Encode(now)
	}
	text, err := os.ReadFile(args[0])
	if err != nil {
		return err
	}
	var before state
	if err := json.Unmarshal(text, &before); err != nil {
		return err
	}
	changes := machine.Changes(before.Files, now.Files)
	for number, program := range now.Running {
		if before.Running[number] != program {
			changes = append(changes, "process "+number+" is still running "+program)
		}
	}
	for _, change := range changes {
		fmt.Println(change)
	}
	if len(changes) > 0 {
		return fmt.Errorf("changes of this machine: %d", len(changes))
	}
	return nil
}
