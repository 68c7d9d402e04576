package cli

import "os"

// Env returns the value of a variable that is not named after a tool's flag,
// such as a site-wide one. A tool uses it as the default of a flag.
func Env(name string) string { return os.Getenv(name) }
