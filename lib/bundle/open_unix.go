//go:build unix

package bundle

import "syscall"

// openRegular are the flags with which a regular file is opened: opening must
// not hang if a named pipe has replaced it, nor follow a link.
const openRegular = syscall.O_NONBLOCK | syscall.O_NOFOLLOW
