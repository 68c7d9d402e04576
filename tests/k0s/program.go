// Package k0s makes the stand-in for k0s: the script k0s of this directory inside a
// program for linux, since tools check that k0s is one before they use it. The program
// passes the script and its own arguments to /bin/sh.
package k0s

import (
	"archive/zip"
	"bytes"
	"debug/elf"
	_ "embed"
	"encoding/binary"
	"fmt"
	"slices"
)

//go:embed k0s
var script string

// Machine code that becomes /bin/sh -c SCRIPT and the program's own arguments,
// the first of them its name. The strings "/bin/sh", "-c" and SCRIPT follow it,
// each with a zero byte.
var codeAMD64 = []byte{
	0x31, 0xc0, // xor eax, eax
	0x48, 0x8b, 0x1c, 0x24, // mov rbx, [rsp]: argc
	0x48, 0x8d, 0x6c, 0x24, 0x08, // lea rbp, [rsp+8]: argv
	0x48, 0x8d, 0x54, 0xdd, 0x08, // lea rdx, [rbp+rbx*8+8]: envp
	0x50,             // push rax
	0x48, 0xff, 0xcb, // next: dec rbx
	0x78, 0x06, // js done
	0xff, 0x74, 0xdd, 0x00, // push [rbp+rbx*8]
	0xeb, 0xf5, // jmp next
	0x48, 0x8d, 0x05, 0x32, 0, 0, 0, // done: lea rax, [SCRIPT]
	0x50,                            // push rax
	0x48, 0x8d, 0x05, 0x27, 0, 0, 0, // lea rax, ["-c"]
	0x50,                            // push rax
	0x48, 0x8d, 0x3d, 0x17, 0, 0, 0, // lea rdi, ["/bin/sh"]
	0x57,             // push rdi
	0x48, 0x89, 0xe6, // mov rsi, rsp
	0xb8, 59, 0, 0, 0, // mov eax, 59: execve
	0x0f, 0x05, // syscall
	0xbf, 127, 0, 0, 0, // mov edi, 127
	0xb8, 60, 0, 0, 0, // mov eax, 60: exit
	0x0f, 0x05, // syscall
}

var codeARM64 = []uint32{
	0xf94003e9, // ldr x9, [sp]: argc
	0x910023ea, // add x10, sp, #8: argv
	0x8b090d42, // add x2, x10, x9, lsl #3
	0x91002042, // add x2, x2, #8: envp
	0x9100152c, // add x12, x9, #5
	0xd341fd8c, // lsr x12, x12, #1
	0xcb2c73ff, // sub sp, sp, x12, uxtx #4
	0x100001e0, // adr x0, "/bin/sh"
	0x10000203, // adr x3, "-c"
	0x700001e4, // adr x4, SCRIPT
	0xa9000fe0, // stp x0, x3, [sp]
	0xf9000be4, // str x4, [sp, #16]
	0x910063e5, // add x5, sp, #24
	0xf8408546, // next: ldr x6, [x10], #8
	0xf80084a6, // str x6, [x5], #8
	0xb5ffffc6, // cbnz x6, next
	0x910003e1, // mov x1, sp
	0xd2801ba8, // mov x8, #221: execve
	0xd4000001, // svc 0
	0xd2800fe0, // mov x0, #127
	0xd2800ba8, // mov x8, #93: exit
	0xd4000001, // svc 0
}

// Program returns the stand-in for an architecture, amd64 or arm64, which reports a
// version. The same arguments result in the same bytes.
func Program(arch, version string) []byte { return append(program(arch, version), Payload()...) }

func program(arch, version string) []byte {
	const base, headers = 0x400000, 64 + 56
	machine, text := elf.EM_X86_64, slices.Clone(codeAMD64)
	if arch == "arm64" {
		machine, text = elf.EM_AARCH64, nil
		for _, op := range codeARM64 {
			text = binary.LittleEndian.AppendUint32(text, op)
		}
	}
	text = fmt.Appendf(text, "/bin/sh\x00-c\x00built_as=%s\n%s\x00", version, script)
	size := uint64(headers + len(text))
	var b bytes.Buffer
	for _, v := range []any{
		elf.Header64{
			Ident: [16]byte{0x7f, 'E', 'L', 'F', byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)},
			Type:  uint16(elf.ET_EXEC), Machine: uint16(machine), Version: uint32(elf.EV_CURRENT),
			Entry: base + headers, Phoff: 64, Ehsize: 64, Phentsize: 56, Phnum: 1,
		},
		elf.Prog64{Type: uint32(elf.PT_LOAD), Flags: uint32(elf.PF_R | elf.PF_X), Vaddr: base, Paddr: base, Filesz: size, Memsz: size, Align: 0x1000},
		text,
	} {
		if err := binary.Write(&b, binary.LittleEndian, v); err != nil {
			panic(err) // fixed-size values into memory
		}
	}
	return b.Bytes()
}

// Payload returns what k0s has behind its own program since 1.36: a zip of the programs
// that it starts, here of a fake one. It is part of sample bundles, whose digests change with it.
func Payload() []byte {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	f, err := z.CreateHeader(&zip.FileHeader{Name: "containerd", Method: zip.Store})
	if err == nil {
		_, err = f.Write([]byte("a stand-in carries nothing\n"))
	}
	if err == nil {
		err = z.Close()
	}
	if err != nil {
		panic(err) // into memory
	}
	return b.Bytes()
}
