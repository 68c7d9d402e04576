package registry

import (
	"fmt"
	"os"
	"path/filepath"
)

// IsStorage returns an error unless a registry has kept something in dir. It
// creates nothing.
func IsStorage(dir string) error {
	if _, err := os.Stat(dir); err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(dir, poolDir)); err != nil {
		return fmt.Errorf("storage %s: not a registry's: %w", dir, err)
	}
	return nil
}
