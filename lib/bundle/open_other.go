//go:build !unix

package bundle

// openRegular has no flags here: directories hold no named pipes, and os.Root
// refuses links that leave it.
const openRegular = 0
