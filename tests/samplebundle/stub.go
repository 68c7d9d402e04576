package samplebundle

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
)

// Machine code that writes a message to stdout and exits with 0. The message
// follows it directly; its length is patched in.
//
// amd64: mov eax,1; mov edi,1; lea rsi,[rip+16]; mov edx,LEN; syscall;
// mov eax,60; xor edi,edi; syscall
var stubAMD64 = []byte{
	0xb8, 1, 0, 0, 0, 0xbf, 1, 0, 0, 0, 0x48, 0x8d, 0x35, 16, 0, 0, 0, 0xba, 0, 0, 0, 0, 0x0f, 0x05,
	0xb8, 60, 0, 0, 0, 0x31, 0xff, 0x0f, 0x05,
}

// arm64: mov x0,#1; adr x1,+28; mov x2,#LEN; mov x8,#64; svc 0; mov x0,#0;
// mov x8,#93; svc 0
var stubARM64 = []uint32{
	0xd2800020, 0x100000e1, 0xd2800002, 0xd2800808, 0xd4000001, 0xd2800000, 0xd2800ba8, 0xd4000001,
}

// stub makes a static ELF program for linux that prints a message, whatever its
// arguments. It stands in for programs that a bundle carries.
func stub(arch, message string) []byte {
	const base, headers = 0x400000, 64 + 56
	machine, text := elf.EM_X86_64, bytes.Clone(stubAMD64)
	binary.LittleEndian.PutUint32(text[18:], uint32(len(message)))
	if arch == "arm64" {
		machine, text = elf.EM_AARCH64, nil
		for i, op := range stubARM64 {
			if i == 2 {
				op |= uint32(len(message)) << 5
			}
			text = binary.LittleEndian.AppendUint32(text, op)
		}
	}
	size := uint64(headers + len(text) + len(message))
	var b bytes.Buffer
	for _, v := range []any{
		elf.Header64{
			Ident: [16]byte{0x7f, 'E', 'L', 'F', byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)},
			Type:  uint16(elf.ET_EXEC), Machine: uint16(machine), Version: uint32(elf.EV_CURRENT),
			Entry: base + headers, Phoff: 64, Ehsize: 64, Phentsize: 56, Phnum: 1,
		},
		elf.Prog64{Type: uint32(elf.PT_LOAD), Flags: uint32(elf.PF_R | elf.PF_X), Vaddr: base, Paddr: base, Filesz: size, Memsz: size, Align: 0x1000},
		text, []byte(message),
	} {
		if err := binary.Write(&b, binary.LittleEndian, v); err != nil {
			panic(err) // fixed-size values into memory
		}
	}
	return b.Bytes()
}
