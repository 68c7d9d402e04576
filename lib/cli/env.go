package cli

import "os"

// Env gives the value of a variable that is not named after a tool's flag,
// such as one that a whole site sets. A tool makes it the default of a flag.
func Env(name string) string { return os.Getenv(name) }
