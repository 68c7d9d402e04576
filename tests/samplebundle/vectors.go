package samplebundle

import "io"

// A Vector is a bundle with one defect.
type Vector struct {
	Name, About, Entry string
	Want               Class
	Write              func(io.Writer) (Manifest, error)
}

// Class is the class of failure that a reader is to report.
type Class string

// Vectors gives all of them.
func Vectors() []Vector { return nil }

// FindVector gives the vector with a name, or false.
func FindVector(name string) (Vector, bool) {
	for _, v := range Vectors() {
		if v.Name == name {
			return v, true
		}
	}
	return Vector{}, false
}
