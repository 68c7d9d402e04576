// Command unchanged holds a test run to its own directories: without a file it
// prints a list of the machine's files, and with such a list it prints what has
// changed since, and exits 1 if anything has. A list with -processes also has those
// that run a program below the working directory: none may be left behind.
//
//	unchanged [-processes] >before
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

// state is what a test run must leave as it was. Running is nil if processes do not
// count.
type state struct{ Files, Running map[string]string }

func look(processes bool) (state, error) {
	s := state{Files: machine.List()}
	if processes {
		dir, err := os.Getwd()
		if err != nil {
			return state{}, err
		}
		s.Running = machine.Running(dir)
	}
	return s, nil
}

func run(args []string) error {
	if len(args) == 0 || args[0] == "-processes" {
		now, err := look(len(args) > 0)
		if err != nil {
			return err
		}
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
	now, err := look(before.Running != nil)
	if err != nil {
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
