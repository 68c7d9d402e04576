package main

import (
	"archive/zip"
	"compress/gzip"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// elfHead is enough of a program to identify its machine.
const elfHead = 20

// machines lists the architectures that k0s is built for, as images and file
// names spell them.
func machines() map[string]elf.Machine {
	return map[string]elf.Machine{
		"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64, "arm": elf.EM_ARM, "riscv64": elf.EM_RISCV,
	}
}

// machineName returns the name of a machine's architecture.
func machineName(m elf.Machine) string {
	for arch, machine := range machines() {
		if machine == m {
			return arch
		}
	}
	return m.String()
}

var errNotProgram = errors.New("not a program for linux (no ELF header)")

// machineOf parses the beginning of an ELF header.
func machineOf(head []byte) (elf.Machine, error) {
	if len(head) < elfHead || string(head[:4]) != elf.ELFMAG || elf.Data(head[elf.EI_DATA]) != elf.ELFDATA2LSB {
		return 0, errNotProgram
	}
	switch elf.Type(binary.LittleEndian.Uint16(head[16:])) {
	case elf.ET_EXEC, elf.ET_DYN:
		return elf.Machine(binary.LittleEndian.Uint16(head[18:])), nil
	}
	return 0, errNotProgram
}

var errMachine = errors.New("wrong architecture")

// checkMachine compares a program's machine with the requested platform.
func checkMachine(m elf.Machine, want v1.Platform) error {
	if m != machines()[want.Architecture] {
		return fmt.Errorf("%w: built for %s, not for %s", errMachine, machineName(m), want.Architecture)
	}
	return nil
}

// checkWhole checks a k0s that has no digest to compare with: that it is a
// program, and that the payload behind it is complete. Since 1.36 the payload is
// a zip, before that a series of gzip streams. Each is read to its checksum at
// the end, so a truncated copy is found.
func checkWhole(r io.ReaderAt, size int64, want v1.Platform) error {
	head := make([]byte, elfHead)
	n, err := r.ReadAt(head, 0)
	if err != nil && err != io.EOF {
		return err
	}
	machine, err := machineOf(head[:n])
	if err != nil {
		return err
	}
	if err := checkMachine(machine, want); err != nil {
		return err
	}
	f, err := elf.NewFile(r)
	if err != nil {
		return fmt.Errorf("%w: %w", errNotProgram, err)
	}
	z, err := zip.NewReader(r, size)
	if errors.Is(err, zip.ErrFormat) {
		end := min(elfEnd(f, r), size)
		return checkStreams(io.NewSectionReader(r, end, size-end))
	}
	if err != nil {
		return fmt.Errorf("payload is damaged: %w", err)
	}
	for _, member := range z.File {
		if err := checkMember(member); err != nil {
			return fmt.Errorf("payload is damaged: %s: %w", member.Name, err)
		}
	}
	return nil
}

func checkMember(member *zip.File) error {
	in, err := member.Open()
	if err != nil {
		return err
	}
	defer in.Close()
	return inflateAll(in)
}

// errNoPayload is also the error for a program that ends where its payload should begin.
var errNoPayload = errors.New("no payload: not a k0s binary, or truncated")

func checkStreams(r *io.SectionReader) error {
	z, err := gzip.NewReader(r)
	if err != nil {
		return errNoPayload
	}
	if err := inflateAll(z); err != nil {
		return fmt.Errorf("payload is damaged: %w", err)
	}
	return nil
}

// inflateAll reads a part of the payload to the checksum at its end.
func inflateAll(r io.Reader) error {
	switch _, err := io.CopyN(io.Discard, r, maxInflated); err {
	case io.EOF:
		return nil
	case nil:
		return errInflated
	default:
		return err
	}
}

// elfEnd returns the length of the program itself, including headers. The section
// header table often comes last, and debug/elf does not export its offset.
func elfEnd(f *elf.File, r io.ReaderAt) int64 {
	var end uint64
	if f.Class == elf.ELFCLASS64 {
		var h elf.Header64
		if binary.Read(io.NewSectionReader(r, 0, 64), f.ByteOrder, &h) == nil {
			end = h.Shoff + uint64(h.Shnum)*uint64(h.Shentsize)
		}
	} else {
		var h elf.Header32
		if binary.Read(io.NewSectionReader(r, 0, 52), f.ByteOrder, &h) == nil {
			end = uint64(h.Shoff) + uint64(h.Shnum)*uint64(h.Shentsize)
		}
	}
	for _, p := range f.Progs {
		end = max(end, p.Off+p.Filesz)
	}
	for _, s := range f.Sections {
		if s.Type != elf.SHT_NOBITS {
			end = max(end, s.Offset+s.FileSize)
		}
	}
	return int64(min(end, math.MaxInt64))
}
